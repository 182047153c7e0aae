package group

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// leavePause is between attempts to end memberships while the store is away.
const leavePause = 500 * time.Millisecond

// leaver ends memberships that last until an unbind.
type leaver struct {
	store atomic.Pointer[opened] // set before run
	bound func(uid string) bool  // nil: nobody is
	log   logrus.FieldLogger     // may be nil
	wake  chan struct{}          // room for one

	mu    sync.Mutex // guards what follows
	held  map[string]map[string]int64
	queue map[string]struct{} // uids to look at
}

func newLeaver() *leaver {
	return &leaver{
		wake: make(chan struct{}, 1),
		held: map[string]map[string]int64{}, queue: map[string]struct{}{},
	}
}

// hold notes that uid is in a group until its unbind, which may have been.
func (l *leaver) hold(name, uid string, hold int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[uid] == nil {
		l.held[uid] = map[string]int64{}
	}
	l.held[uid][name] = hold
	l.look(uid)
}

func (l *leaver) release(name, uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(name, uid)
}

// forget drops a hold; l.mu is held.
func (l *leaver) forget(name, uid string) {
	if delete(l.held[uid], name); len(l.held[uid]) == 0 {
		delete(l.held, uid)
	}
}

// unbound has the memberships of uid end, if it is not bound otherwise.
func (l *leaver) unbound(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.held[uid]; there {
		l.look(uid)
	}
}

// look puts uid into the queue; l.mu is held.
func (l *leaver) look(uid string) {
	l.queue[uid] = struct{}{}
	signal(l.wake)
}

// run looks at uids until ctx ends.
func (l *leaver) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for uid, ok := l.next(); ok; uid, ok = l.next() {
			if !l.leave(ctx, uid) {
				pause(ctx, leavePause)
				l.again(uid)
				break
			}
		}
	}
}

func (l *leaver) next() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid := range l.queue {
		delete(l.queue, uid)
		return uid, true
	}
	return "", false
}

func (l *leaver) again(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(uid)
}

// leave ends the memberships of uid if it is not bound. It reports false when
// the store could not be asked.
func (l *leaver) leave(ctx context.Context, uid string) bool {
	// First the holds, then the question: a session that binds after it was asked
	// makes new holds, which Leave does not end.
	holds := l.holds(uid)
	if l.bound != nil && l.bound(uid) {
		return true
	}
	for name, hold := range holds {
		if err := l.store.Load().store.Leave(ctx, name, uid, hold); err != nil {
			if l.log != nil && ctx.Err() == nil {
				l.log.WithError(err).Warn("could not take an unbound user out of a group, trying again")
			}
			return false
		}
		l.left(name, uid, hold)
	}
	return true
}

func (l *leaver) holds(uid string) map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.held[uid])
}

// left forgets a hold that is over, and no newer one.
func (l *leaver) left(name, uid string, hold int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[uid][name] == hold {
		l.forget(name, uid)
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
