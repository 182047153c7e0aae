package group

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// jetStreamRun is what a store has between Start and Stop.
type jetStreamRun struct {
	mu     sync.Mutex // guards what follows
	js     jetstream.JetStream
	stream jetstream.Stream
	bucket jetstream.KeyValue
	made   time.Time        // when the bucket was made
	work   *lifecycle.Group // nil until started
	view   *jetStreamView

	anew   chan struct{} // the bucket is gone, or another; room for one
	buried chan Holder   // whose keys this store ended
	doubts doubts
}

// Start implements [Runner].
func (j *JetStreamStore) Start(ctx context.Context, sink Sink) error {
	j.mu.Lock()
	if j.work != nil {
		j.mu.Unlock()
		return errors.New("group: the JetStream store was started before: make another")
	}
	work := lifecycle.NewGroup(context.WithoutCancel(ctx))
	j.doubts, j.buried, j.anew = newDoubts(), make(chan Holder), make(chan struct{}, 1)
	j.work, j.view = work, newJetStreamView(j.params.Self, sink)
	j.view.doubt = j.doubt
	j.mu.Unlock()
	err := j.arrive(ctx)
	if err != nil && j.params.Log != nil {
		j.params.Log.WithError(err).Warn("the JetStream of groups does not answer yet, trying again")
	}
	for err != nil && !errors.Is(err, errTakesTTL) && ctx.Err() == nil {
		pause(ctx, lastPause)
		err = j.arrive(ctx)
	}
	if err != nil {
		return errors.Join(late(ctx, err), j.Stop(context.WithoutCancel(ctx)))
	}
	if j.params.Self != (Holder{}) {
		work.Go("groups.lease", j.stayAlive)
	}
	work.Go("groups.watch", j.follow)
	work.Go("groups.sweep", j.sweep)
	select {
	case <-j.view.listed:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), j.Stop(context.WithoutCancel(ctx)))
	}
}

// Follow implements [Runner]: the bucket is always followed.
func (j *JetStreamStore) Follow(context.Context) error { return nil }

// arrive finds the bucket and tells that this server can hold members.
func (j *JetStreamStore) arrive(ctx context.Context) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	return j.renew(ctx)
}

func (j *JetStreamStore) renew(ctx context.Context) error {
	if j.params.Self == (Holder{}) {
		return nil
	}
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.put(ctx, serverKey(j.params.Self), valueOfTTL(j.params.TTL), j.params.TTL)
}

// stayAlive has this server's key last.
func (j *JetStreamStore) stayAlive(ctx context.Context) {
	wait := j.params.TTL / 3
	for ctx.Err() == nil {
		pause(ctx, wait)
		wait = j.params.TTL / 3
		err := j.renew(ctx)
		if err != nil {
			wait = min(wait, lastPause)
		}
		if (err == nil || errors.Is(err, jetstream.ErrNoStreamResponse)) && !j.isSame(ctx) {
			signal(j.anew)
		}
	}
}

// isSame reports whether the bucket is the one that was opened, as far as NATS
// tells. Who follows one that was deleted would hear nothing of the next.
func (j *JetStreamStore) isSame(ctx context.Context) bool {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	j.mu.Lock()
	stream, made := j.stream, j.made
	j.mu.Unlock()
	info, err := stream.Info(ctx)
	if err != nil {
		return !errors.Is(err, jetstream.ErrStreamNotFound)
	}
	return info.Created.Equal(made)
}

// follow keeps the view equal to the bucket until ctx ends.
func (j *JetStreamStore) follow(ctx context.Context) {
	back := j.params.Conn.StatusChanged(nats.CONNECTED)
	defer j.params.Conn.RemoveStatusListener(back)
	for ctx.Err() == nil {
		j.watch(ctx, back)
		pause(ctx, lastPause)
	}
}

// watch applies what happens in the bucket until that has to begin anew: what
// was lost with a connection only another listing can tell.
func (j *JetStreamStore) watch(ctx context.Context, back <-chan nats.Status) {
	if j.arrive(ctx) != nil { // also, because the bucket may be a new one
		return
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	j.mu.Lock()
	bucket := j.bucket
	j.mu.Unlock()
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		return
	}
	defer endWatch(watcher)
	j.view.begin()
	tick := time.NewTicker(overdueTick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for h, revision := range j.view.overdue(now) {
				j.work.Go("groups.bury", func(ctx context.Context) { j.bury(ctx, h, revision) })
			}
		case h := <-j.buried:
			j.view.serverGone(h) // the watch itself may be what is late
		case <-ctx.Done():
			return
		case <-back:
			return
		case <-j.anew:
			return
		case entry, ok := <-watcher.Updates():
			if !ok {
				return
			}
			j.view.apply(entry)
		}
	}
}

// endWatch also takes what the watcher still has: it would wait for a reader for
// ever.
func endWatch(w jetstream.KeyWatcher) {
	_ = w.Stop()
	for range w.Updates() {
		continue
	}
}

// bury ends the key of a server that was not renewed in time, unless that just
// happened. The server itself puts it again when it lives.
func (j *JetStreamStore) bury(ctx context.Context, h Holder, revision uint64) {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	if j.remove(ctx, serverKey(h), jetstream.LastRevision(revision)) != nil {
		return // it was renewed; or it is tried again
	}
	select {
	case j.buried <- h:
	case <-ctx.Done():
	}
}

// Stop implements [Runner].
func (j *JetStreamStore) Stop(ctx context.Context) error {
	j.mu.Lock()
	work := j.work
	j.mu.Unlock()
	if work == nil {
		return nil
	}
	if err := work.Stop(ctx); err != nil {
		return err
	}
	if j.params.Self != (Holder{}) {
		ctx, cancel := context.WithTimeout(ctx, min(j.params.Timeout, revokeTimeout))
		defer cancel()
		_ = j.remove(ctx, serverKey(j.params.Self)) // it ends by itself, too
	}
	return nil
}

// doubts are groups that may have members of servers that are gone, or have
// ended.
type doubts struct {
	wake chan struct{} // room for one

	mu    sync.Mutex // guards names
	names map[string]struct{}
}

func newDoubts() doubts { return doubts{wake: make(chan struct{}, 1), names: map[string]struct{}{}} }

// doubt has a group looked at soon.
func (j *JetStreamStore) doubt(name string) {
	j.doubts.mu.Lock()
	defer j.doubts.mu.Unlock()
	j.doubts.names[name] = struct{}{}
	signal(j.doubts.wake)
}

func (d *doubts) next() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		delete(d.names, name)
		return name, true
	}
	return "", false
}

// sweep looks at doubtful groups. Every server that follows does: who is first
// ends what has to end.
func (j *JetStreamStore) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.doubts.wake:
		}
		for name, ok := j.doubts.next(); ok; name, ok = j.doubts.next() {
			if err := j.tidy(ctx, name); err != nil {
				pause(ctx, lastPause)
				j.doubt(name)
				break
			}
		}
	}
}

// tidy ends a group whose ttl has run out, and memberships that servers held
// which are gone.
func (j *JetStreamStore) tidy(ctx context.Context, name string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.edit(ctx, name, func(d, left *document) (*document, error) {
		switch {
		case d == nil && left != nil && !left.Ended:
			left.end()
			return left, nil
		case d == nil:
			return nil, nil
		}
		return j.withoutGone(ctx, d)
	})
}

// withoutGone is the group without the members of servers that are gone; nil when
// there are none.
func (j *JetStreamStore) withoutGone(ctx context.Context, d *document) (*document, error) {
	before := d.Changes
	for h := range d.holders() {
		there, err := j.there(ctx, serverKey(h))
		if err != nil {
			return nil, err
		}
		if there {
			continue
		}
		for _, uid := range d.uids() {
			if d.Members[uid].holder() == h {
				d.remove(uid, noteGone)
			}
		}
	}
	if d.Changes == before {
		return nil, nil
	}
	return d, nil
}
