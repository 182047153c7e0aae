package registry

import (
	"context"
	"errors"
	"sync"

	"github.com/cereus-game/cereus/cluster"
)

// ErrStopped is what Next returns after the Watcher's Stop, the end of the context
// of its Watch, or the Registry's Shutdown.
var ErrStopped = errors.New("the watcher is stopped")

// ReasonBehind of a list: the watcher could not tell every change since the last
// one, because more than 8,192 changes (of all names) waited for its Next.
const ReasonBehind cluster.Reason = "behind"

// Kind says what a Change tells.
type Kind string

// The kinds of changes.
const (
	KindList   Kind = "list"   // everything there is; what is not in it is gone
	KindUp     Kind = "up"     // an instance is there
	KindUpdate Kind = "update" // an instance that stays is another than before
	KindDown   Kind = "down"   // an instance is gone
)

// Change is what a Watcher tells.
type Change struct {
	Kind Kind
	// Reason is cluster's for the kind: a down tells ReasonLeft from ReasonCrashed. Of
	// a list it is cluster.ReasonPresent for the first one and ReasonBehind for others.
	Reason cluster.Reason
	// Instances are those of a list, in the order of Get.
	Instances []Instance
	// Instance is the one that changed, as it is now; of a down its last value. Not of
	// a list.
	Instance Instance
	// Revision is that of etcd at which this was so; 0 of a list, which may be of two.
	Revision int64
}

// Watcher tells the instances of a name and what becomes of them.
type Watcher struct {
	registry *Registry
	name     string
	stopped  chan struct{}
	stop     func()

	// These belong to Next.
	begun   bool
	streams []stream
}

// stream is a source and how far it was told.
type stream struct {
	source
	seq     uint64
	pending []cluster.Event
	more    <-chan struct{}
}

// Watch begins to watch a name; the empty name is all. The Watcher ends with its
// Stop or with ctx. It costs no goroutine and no memory while nothing is asked of
// it.
func (r *Registry) Watch(ctx context.Context, name string) (*Watcher, error) {
	if err := r.check(ctx, name); err != nil {
		return nil, err
	}
	w := &Watcher{registry: r, name: name, stopped: make(chan struct{})}
	for _, s := range r.sources {
		w.streams = append(w.streams, stream{source: s})
	}
	end := sync.OnceFunc(func() { close(w.stopped) })
	forget := context.AfterFunc(ctx, end)
	w.stop = func() { end(); forget() }
	return w, nil
}

// Stop ends the watcher, and a Next that waits. It may be called from any
// goroutine, and again.
func (w *Watcher) Stop() { w.stop() }

// Next waits for the next change. The first is the list of those present, at the
// time of the call; then comes each change once, an instance's in the order in
// which they were. What came and went before anybody could know is no change. A
// watcher that fell behind gets a new list. The errors are ErrStopped and the cause
// of ctx. It is called by one goroutine at a time.
func (w *Watcher) Next(ctx context.Context) (Change, error) {
	for {
		if err := w.over(ctx); err != nil {
			return Change{}, err
		}
		if !w.begun {
			w.begun = true
			return w.list(cluster.ReasonPresent), nil
		}
		switch err := w.fill(); {
		case errors.Is(err, cluster.ErrHistoryGone):
			return w.list(ReasonBehind), nil
		case err != nil:
			return Change{}, ErrStopped // it is the discovery that ended
		}
		if c, ok := w.take(); ok {
			return c, nil
		}
		w.wait(ctx)
	}
}

// over is why nothing more is told.
func (w *Watcher) over(ctx context.Context) error {
	select {
	case <-w.stopped:
		return ErrStopped
	case <-w.registry.ended:
		return ErrStopped
	default:
		return context.Cause(ctx)
	}
}

// list tells everything there is, and has what comes after it come next.
func (w *Watcher) list(reason cluster.Reason) Change {
	instances := []Instance{}
	for n := range w.streams {
		s := &w.streams[n]
		snapshot := s.Snapshot()
		s.seq, s.pending = snapshot.Seq(), nil
		instances = s.appendInstances(instances, snapshot, w.name)
	}
	return Change{Kind: KindList, Reason: reason, Instances: sorted(instances)}
}

// fill has what is there already of every stream be pending.
func (w *Watcher) fill() error {
	for n := range w.streams {
		s := &w.streams[n]
		for s.more = nil; len(s.pending) == 0 && s.more == nil; {
			events, more, err := s.After(s.seq)
			if err != nil {
				return err
			}
			s.keep(events, w.name)
			s.more = more
		}
	}
	return nil
}

// keep has those events be pending that are of the name.
func (s *stream) keep(events []cluster.Event, name string) {
	for _, e := range events {
		s.seq = e.Seq
		if e.Kind != cluster.EventLeader && (name == "" || e.Type == name) {
			s.pending = append(s.pending, e)
		}
	}
}

// take is the oldest of what is pending.
func (w *Watcher) take() (Change, bool) {
	var from *stream
	for n := range w.streams {
		s := &w.streams[n]
		if len(s.pending) > 0 && (from == nil || s.pending[0].Revision < from.pending[0].Revision) {
			from = s
		}
	}
	if from == nil {
		return Change{}, false
	}
	e := from.pending[0]
	from.pending = from.pending[1:]
	return Change{Kind: Kind(e.Kind), Reason: e.Reason, Instance: instanceOf(e.Server, from.game), Revision: e.Revision}, true
}

// wait returns when there may be something to tell.
func (w *Watcher) wait(ctx context.Context) {
	services, servers := w.streams[0].more, (<-chan struct{})(nil)
	if len(w.streams) > 1 {
		servers = w.streams[1].more
	}
	select {
	case <-services:
	case <-servers:
	case <-w.stopped:
	case <-w.registry.ended:
	case <-ctx.Done():
	}
}
