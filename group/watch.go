package group

import (
	"context"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// maxWaiting is how many changes wait for one listener. One that is slower
// hears that it missed some.
const maxWaiting = 1 << 16

// Reason is why a membership ended.
type Reason string

// The reasons for which a membership ends.
const (
	ReasonLeft       Reason = "left"        // removed, or the user unbound
	ReasonServerGone Reason = "server gone" // the server that held the member died or stopped
	ReasonGroupEnded Reason = "group ended" // the group was deleted or its ttl ran out
)

// Listener hears of changes, see [Groups.Watch].
type Listener interface {
	// MemberJoined: m is in the group now.
	MemberJoined(group string, m Member)
	// MemberLeft: m, as last known, is not in the group any more.
	MemberLeft(group string, m Member, why Reason)
	// Missed: members may have come and gone unheard, and reasons are guessed. The
	// changes told next lead to what is true now, unless the listener itself was too
	// slow: then it has to ask List.
	Missed()
}

// ChangeKind is what happened.
type ChangeKind string

// What can happen.
const (
	ChangeJoined ChangeKind = "joined"
	ChangeLeft   ChangeKind = "left"
	ChangeMissed ChangeKind = "missed"
)

// Change is one thing that happened to memberships.
type Change struct {
	Kind   ChangeKind
	Group  string
	Member Member
	Reason Reason
}

// Watch has l hear of every join and leave in every group of the store, once
// and in order, from now on until stop is called, on a goroutine of its own.
// After etcd or NATS was away it goes on where it was; when that cannot be, it
// hears Missed first. A change made just before may be heard, too. It must not be
// called before Init. With etcd the first
// Watch of a process makes it keep a copy of all groups.
func (g *Groups) Watch(ctx context.Context, l Listener) (stop func(), err error) {
	stop, err = g.feed.add(l)
	if err != nil {
		return nil, err
	}
	if err := g.store().Follow(ctx); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// feed passes changes on to listeners.
type feed struct {
	log logrus.FieldLogger // may be nil

	mu        sync.Mutex       // guards what follows
	group     *lifecycle.Group // nil until started
	listeners map[*subscriber]struct{}
}

func (f *feed) start(group *lifecycle.Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.group, f.listeners = group, map[*subscriber]struct{}{}
}

func (f *feed) add(l Listener) (stop func(), err error) {
	s := &subscriber{listener: l, log: f.log, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.group == nil || !f.group.Go("groups.listener", s.run) {
		return nil, ErrNotRunning
	}
	f.listeners[s] = struct{}{}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, s)
		close(s.gone)
	}), nil
}

func (f *feed) tell(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.listeners {
		s.push(c)
	}
}

// subscriber is one listener and what waits for it.
type subscriber struct {
	listener Listener
	log      logrus.FieldLogger
	wake     chan struct{} // room for one
	gone     chan struct{}

	mu      sync.Mutex // guards waiting
	waiting []Change
}

func (s *subscriber) push(c Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxWaiting {
		s.waiting = append([]Change(nil), Change{Kind: ChangeMissed})
	}
	s.waiting = append(s.waiting, c)
	signal(s.wake)
}

func (s *subscriber) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.gone:
			return
		case <-s.wake:
		}
		for _, c := range s.take() {
			select {
			case <-s.gone:
				return
			default:
				s.tell(c)
			}
		}
	}
}

func (s *subscriber) take() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.waiting
	s.waiting = nil
	return all
}

func (s *subscriber) tell(c Change) {
	defer func() {
		if v := recover(); v != nil && s.log != nil {
			s.log.WithField("panic", v).WithField("change", c.Kind).Error("a listener of groups panicked")
		}
	}()
	switch c.Kind {
	case ChangeJoined:
		s.listener.MemberJoined(c.Group, c.Member)
	case ChangeLeft:
		s.listener.MemberLeft(c.Group, c.Member, c.Reason)
	case ChangeMissed:
		s.listener.Missed()
	}
}

// signal wakes whoever waits for a channel with room for one.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
