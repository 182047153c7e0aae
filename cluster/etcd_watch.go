package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

const (
	// syncTimeout bounds one listing; the next one is tried after a short pause.
	syncTimeout = 10 * time.Second
	// firstRelistPause and lastRelistPause bound the pauses between listings while etcd is away.
	firstRelistPause = 50 * time.Millisecond
	lastRelistPause  = 500 * time.Millisecond
	// settledAfter is how long a watch lasts that nothing is wrong with.
	settledAfter = time.Second
	// askTimeout bounds asking a watch how far it is; while it reconnects it does not hear.
	askTimeout = 100 * time.Millisecond
)

// follower keeps the view equal to etcd. Its run is the only goroutine that
// changes the view, and the revision that the view is of.
type follower struct {
	params EtcdParams
	store  *etcdStore
	view   *view

	// owners are the registrations whose keys are watched over.
	owners atomic.Pointer[[]*Registration]

	// caughtUp is told when the view is right again after it may not have been.
	caughtUp func()

	syncs  chan syncRequest
	doubts chan string // why to list again at once; room for one

	revision  atomic.Int64 // the view is etcd at this revision
	lastSync  atomic.Int64 // Unix nanoseconds
	lapsed    atomic.Int64 // how often the view may have fallen behind
	mended    atomic.Int64 // how many of these were before the last listing was asked for
	connected atomic.Bool
}

// syncRequest is one SyncServers that waits.
type syncRequest struct {
	ctx  context.Context // the caller's: a listing made for it ends with it
	done chan error      // room for one
}

func newFollower(p EtcdParams, store *etcdStore, v *view) *follower {
	f := &follower{params: p, store: store, view: v, syncs: make(chan syncRequest), doubts: make(chan string, 1), caughtUp: func() {}}
	f.owners.Store(new([]*Registration))
	return f
}

// watchOver has r look when its key is not in etcd as r left it.
func (f *follower) watchOver(r *Registration) {
	for {
		before := f.owners.Load()
		after := append(slices.Clone(*before), r)
		if f.owners.CompareAndSwap(before, &after) {
			return
		}
	}
}

// overlook ends watchOver.
func (f *follower) overlook(r *Registration) {
	for {
		before := f.owners.Load()
		after := slices.DeleteFunc(slices.Clone(*before), func(o *Registration) bool { return o == r })
		if f.owners.CompareAndSwap(before, &after) {
			return
		}
	}
}

// sync asks run for a listing and waits for it.
func (f *follower) sync(ctx, running context.Context) error {
	req := syncRequest{ctx: ctx, done: make(chan error, 1)}
	select {
	case f.syncs <- req:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-running.Done():
		return ErrNotRunning
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-running.Done():
		return ErrNotRunning
	}
}

// doubt has the view compared with etcd soon.
func (f *follower) doubt(reason string) {
	select {
	case f.doubts <- reason:
	default: // one is enough
	}
}

// wrote is told the revision of a write of this server's own. One that is not
// above what the view knew before it means that etcd lost its history (fault E02).
func (f *follower) wrote(known, revision int64) {
	if revision <= known {
		f.doubt(string(endBackwards))
	}
}

// stale reports whether the view may have fallen behind since it was compared.
func (f *follower) stale() bool {
	mended := f.mended.Load() // first, as it comes later: no lapse is taken for mended
	return mended < f.lapsed.Load()
}

// accept makes the view what was listed, which mends so many lapses. When the
// revision went backwards, a watch from the old one would never hear of anything again.
func (f *follower) accept(l listing, lapsed int64) ending {
	end := endNot
	if l.revision < f.revision.Load() {
		end = endBackwards
	}
	f.revision.Store(l.revision)
	f.view.replace(l.updates, l.revision)
	f.lastSync.Store(time.Now().UnixNano())
	f.mended.Store(lapsed)
	f.checkOwn()
	return end
}

// checkOwn has every registration look whose key is missing, another's, or
// edited by somebody.
func (f *follower) checkOwn() {
	for _, r := range *f.owners.Load() {
		self := r.Self()
		if seen := f.view.holder(self.Type, self.ID); seen == nil || !seen.says(self) {
			r.doubt()
		}
	}
}

// run follows etcd until ctx ends.
func (f *follower) run(ctx context.Context) {
	wait := newBackoff(firstRelistPause, lastRelistPause)
	for ctx.Err() == nil {
		began := time.Now()
		if end := f.follow(ctx); end != endBackwards && ctx.Err() == nil {
			f.lapsed.Add(1)
			f.relist(ctx, string(end))
		}
		if time.Since(began) > settledAfter {
			wait.Reset()
			continue
		}
		pause(ctx, wait.NextBackOff()) // etcd lists but refuses to be watched
	}
}

// ending is why a watch has to be replaced.
type ending string

const (
	endNot       ending = ""
	endBackwards ending = "revision went backwards" // the view is right, only the watch is not
	endStopped   ending = "stopped"
	endClosed    ending = "watch closed"
	endCanceled  ending = "watch canceled"
	endCompacted ending = "compacted"
	endFailed    ending = "comparison failed"
)

// follow applies what the watch says until it ends, and returns why.
func (f *follower) follow(ctx context.Context) ending {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	f.view.untold() // this watch begins after it
	defer f.view.untold()
	from, to := f.params.Folder.followed()
	events := f.store.watcher.Watch(clientv3.WithRequireLeader(watching), from,
		clientv3.WithRange(to), clientv3.WithRev(f.revision.Load()+1))
	ticker := time.NewTicker(around(f.params.SyncInterval))
	defer ticker.Stop()
	for {
		if end := f.turn(ctx, events, ticker.C); end != endNot {
			return end
		}
	}
}

// turn sees to the next thing that happens.
func (f *follower) turn(ctx context.Context, events clientv3.WatchChan, tick <-chan time.Time) ending {
	select {
	case <-ctx.Done():
		return endStopped
	case resp, ok := <-events:
		if end := watchEnd(resp, ok); end != endNot {
			return end
		}
		f.apply(resp)
	case req := <-f.syncs:
		end, err := f.compareBeside(ctx, req.ctx)
		req.done <- err
		if req.ctx.Err() != nil && err != nil {
			return endNot // it was the caller who had no time
		}
		return end
	case reason := <-f.doubts:
		f.params.Metrics.Relisted(reason)
		end, err := f.compareBeside(ctx, ctx)
		if err == nil {
			f.caughtUp()
		}
		return end
	case <-tick:
		end, _ := f.compareBeside(ctx, ctx)
		return end
	case <-f.view.hints.wake:
		f.view.heed()
	case <-alarm(f.view.expire()):
	}
	return endNot
}

// watchEnd says why a watch ended, if it did.
func watchEnd(resp clientv3.WatchResponse, ok bool) ending {
	switch {
	case !ok:
		return endClosed
	case resp.CompactRevision != 0:
		return endCompacted
	case resp.Err() != nil:
		return endCanceled
	}
	return endNot
}

// apply makes one watch response one snapshot. What a listing knew already is
// left out, so that the view never goes back; the history then does not say when
// it was.
func (f *follower) apply(resp clientv3.WatchResponse) {
	revision := f.revision.Load()
	updates := make([]update, 0, len(resp.Events))
	for _, ev := range resp.Events {
		if at := ev.Kv.ModRevision; at <= revision {
			f.view.leap(leap{from: at - 1, to: revision})
			continue
		}
		u, ok := f.store.entries.remove(ev.Kv)
		if ev.Type == clientv3.EventTypePut {
			u, ok = f.store.entries.put(ev.Kv)
		}
		if ok {
			updates = append(updates, u)
		}
	}
	if n := len(resp.Events); n > 0 {
		f.revision.Store(max(revision, resp.Events[n-1].Kv.ModRevision))
	}
	f.view.apply(updates, f.revision.Load())
	f.view.told(toldUpTo(resp))
	if len(updates) > 0 {
		f.checkOwn()
	}
}

// toldUpTo is the revision up to which a watch has told everything with a
// response; 0 when that does not say. The header of one with events does not count:
// more of them may come.
func toldUpTo(resp clientv3.WatchResponse) int64 {
	if n := len(resp.Events); n > 0 {
		return resp.Events[n-1].Kv.ModRevision
	}
	if resp.IsProgressNotify() {
		return resp.Header.GetRevision()
	}
	return 0
}

// compareBeside is compare, within the time of who wants it, while the watch goes
// on. That is asked how far it is, for a listing does not show what came and went
// before it. The answer comes as a response without events; without one the next
// event will do, or the next listing.
func (f *follower) compareBeside(ctx, wanted context.Context) (ending, error) {
	end, err := f.compare(wanted)
	if err == nil && end == endNot && f.view.waits() {
		asking, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), askTimeout) // the context of its stream
		defer cancel()
		_ = f.store.watcher.RequestProgress(asking)
	}
	return end, err
}

// compare lists, accepts what is listed, and says what that means for the watch.
func (f *follower) compare(ctx context.Context) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	lapsed := f.lapsed.Load() // before asking: the answer does not know what is after it
	l, err := f.store.entries.list(ctx, f.store.kv)
	if err != nil {
		return endFailed, err
	}
	return f.accept(l, lapsed), nil
}

// relist compares until it succeeds or ctx ends.
func (f *follower) relist(ctx context.Context, reason string) {
	log := f.params.Log.WithField("reason", reason)
	log.Warn("servers are listed again")
	f.params.Metrics.Relisted(reason)
	wait := newPauses(firstRelistPause, lastRelistPause)
	var waiting syncRequest
	var told bool
	for ctx.Err() == nil {
		_, err := f.compare(ctx)
		if waiting.done != nil {
			waiting.done <- err
			waiting = syncRequest{}
		}
		if err == nil {
			log.Info("servers are known again")
			f.caughtUp()
			return
		}
		if !told && hopeless(err) {
			told = true
			log.WithError(explained(err)).Error("servers cannot be listed")
		}
		select {
		case <-ctx.Done():
		case waiting = <-f.syncs:
		case <-f.view.hints.wake:
			f.view.heed()
		case <-alarm(f.view.expire()):
		case <-time.After(wait.after(err)):
		}
	}
}

// watchConnection notices at once when the connection to etcd goes and comes.
// Every time it came the view is compared, however short the break was.
func (f *follower) watchConnection(ctx context.Context) {
	conn := f.store.client.ActiveConnection()
	state := conn.GetState()
	if state == connectivity.Connecting && conn.WaitForStateChange(ctx, state) {
		state = connectivity.Ready // the listing at boot was answered before gRPC says that it is
	}
	for conn.WaitForStateChange(ctx, state) {
		state = conn.GetState()
		ready := state == connectivity.Ready
		before := f.connected.Swap(ready)
		switch {
		case ready:
			f.doubt("reconnected")
		case before:
			f.lapsed.Add(1)
			f.params.Log.Warn("the connection to etcd is lost, the last view of the servers stays")
		}
	}
}
