package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

const (
	patience = 30 * time.Second
	tick     = 2 * time.Millisecond
)

// wire joins one frontend with one listener, and can lose what it carries.
type wire struct {
	t      require.TestingT
	pool   *session.Pool
	feed   *Feed
	watch  *Watch
	server *cluster.Server
	cut    atomic.Bool   // nothing gets through
	deaf   atomic.Bool   // subscribe fails
	lose   atomic.Uint32 // every so manyth publication is lost; 0: none
	n      atomic.Uint32 // publications while some are lost
	slow   atomic.Int64  // how long the listener takes for the next end

	mu   sync.Mutex // guards what follows
	hear func(*clusterpb.SessionEvents)
	told []session.Event
	said []session.Event // by the frontend
}

func newWire(t require.TestingT) *wire {
	log := logrus.New()
	log.SetOutput(io.Discard)
	pool := session.NewPool(session.PoolParams{Replaced: func(old *session.Session) { old.Close("replaced") }})
	w := &wire{t: t, pool: pool, server: &cluster.Server{
		ID: "front-1", Type: "front", Frontend: true, Nonce: "run", Caps: []string{constants.CapSessions},
	}}
	w.feed = NewFeed("run", w.pool, w.publish)
	w.feed.beat = 20 * time.Millisecond
	w.pool.OnAfterBind(func(_ context.Context, s *session.Session, uid string) error {
		w.note(session.Event{Kind: session.EventBound, Frontend: "front-1", Session: s.ID(), UID: uid})
		return nil
	})
	w.pool.OnUnbind(func(_ context.Context, s *session.Session, uid string) {
		e := session.Event{Kind: session.EventUnbound, Frontend: "front-1", Session: s.ID(), UID: uid}
		if reason, closed := s.Ended(); closed {
			e.Kind, e.Reason = session.EventClosed, reason
		}
		w.note(e)
	})
	w.watch = NewWatch(WatchParams{FrontendType: "front", Listener: w.listen, Hear: w.subscribe, Ask: w.ask, Log: log})
	require.NoError(t, w.feed.Init(context.Background()))
	require.NoError(t, w.watch.AfterInit(context.Background()))
	return w
}

func (w *wire) stop() {
	require.NoError(w.t, w.watch.Shutdown(context.Background()))
	require.NoError(w.t, w.feed.Shutdown(context.Background()))
}

func (w *wire) note(e session.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, e)
}

func (w *wire) listen(_ context.Context, e session.Event) {
	w.mu.Lock()
	w.told = append(w.told, e)
	w.mu.Unlock()
	if e.UID == "panic" {
		panic("the listener's")
	}
	if e.Kind != session.EventBound {
		<-time.After(time.Duration(w.slow.Swap(0)))
	}
}

func (w *wire) publish(e *clusterpb.SessionEvents) error {
	if lose := w.lose.Load(); w.cut.Load() || lose > 0 && w.n.Add(1)%lose == 0 {
		return nil // lost on the way
	}
	w.mu.Lock()
	hear := w.hear
	w.mu.Unlock()
	if hear != nil {
		hear(e)
	}
	return nil
}

func (w *wire) subscribe(_ *cluster.Server, hear func(*clusterpb.SessionEvents)) (func(context.Context) error, error) {
	if w.deaf.Load() {
		return nil, errs.ErrUnavailable
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear = hear
	return func(context.Context) error { return nil }, nil
}

func (w *wire) ask(_ context.Context, _ *cluster.Server, ask *clusterpb.SessionsAsk) (*clusterpb.SessionsTold, error) {
	cut := w.cut.Load()
	told, err := w.feed.Answer(ask)
	if cut || w.cut.Load() { // an answer that may know what was after the cut is lost, too
		return nil, errs.ErrUnavailable
	}
	return told, err
}

func (w *wire) hears(n int) {
	require.Eventually(w.t, func() bool { told, _ := w.history(); return len(told) == n }, patience, tick)
}

func (w *wire) history() (told, said []session.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]session.Event{}, w.told...), append([]session.Event{}, w.said...)
}

// converges waits until the listener knows the sessions that there are.
func (w *wire) converges() {
	want := map[int64]string{}
	w.pool.EachBound(func(uid string, s *session.Session) { want[s.ID()] = uid })
	deadline := time.Now().Add(patience)
	for {
		told, _ := w.history()
		known := map[int64]string{}
		for _, e := range told {
			if e.Kind == session.EventBound {
				_, bound := known[e.Session] // NotContains would go through all of them
				require.False(w.t, bound, "bound twice")
				known[e.Session] = e.UID
			} else {
				require.Equal(w.t, known[e.Session], e.UID, "ended and was not bound")
				delete(known, e.Session)
			}
		}
		if fmt.Sprint(known) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(deadline) {
			require.Equal(w.t, want, known)
		}
		<-time.After(10 * tick)
	}
}

// enters is a session that is bound.
func (w *wire) enters(uid string) *session.Session {
	s, err := session.New(session.Params{ID: w.pool.NextID(), Entity: client{w.pool}})
	require.NoError(w.t, err)
	require.NoError(w.t, w.pool.Add(s))
	require.NoError(w.t, s.Bind(context.Background(), uid))
	return s
}

type client struct{ pool *session.Pool }

func (client) Push(context.Context, string, any) error { return nil }
func (c client) Bind(ctx context.Context, s *session.Session, uid string) error {
	return c.pool.Bind(ctx, s, uid)
}
func (client) Save(context.Context, *session.Session, []byte, []byte) error { return nil }
func (client) Kick(context.Context, *session.Session, string) error         { return nil }
func (client) Close(string)                                                 {}

func TestEveryEventIsToldOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	w.watch.AddServer(cluster.Event{Server: w.server})
	first := w.enters("first")
	w.converges() // from here on nothing is left to a list
	w.lose.Store(3)
	for i := range 3000 {
		s := w.enters(fmt.Sprint("u", i))
		switch i % 3 {
		case 0:
			s.Close("left")
		case 1:
			require.NoError(t, s.Unbind(t.Context()))
		}
	}
	w.cut.Store(true)
	w.enters("panic")
	first.Close("kicked")
	w.cut.Store(false)
	w.converges()
	told, said := w.history()
	require.Equal(t, said, told)
}

func TestWhatIsForgottenIsToldAsADifference(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	stays, leaves := w.enters("stays"), w.enters("leaves")
	require.NotNil(t, stays)
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.converges()
	w.cut.Store(true)
	leaves.Close("left")
	for i := range kept {
		w.enters(fmt.Sprint("u", i))
	}
	w.cut.Store(false)
	w.converges()
	told, _ := w.history()
	require.Equal(t, session.Event{
		Kind: session.EventUnbound, Frontend: "front-1", Session: leaves.ID(), UID: "leaves", Reason: session.ReasonMissed,
	}, told[2])
}

func TestAFrontendThatIsGoneTakesItsSessions(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	s := w.enters("ann")
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.converges()
	// Away from discovery only: it goes on telling.
	w.watch.RemoveServer(cluster.Event{Server: w.server})
	w.enters("bob")
	w.converges()
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.cut.Store(true)
	w.watch.RemoveServer(cluster.Event{Server: w.server})
	require.Eventually(t, func() bool { told, _ := w.history(); return len(told) == 4 }, patience, tick)
	told, _ := w.history()
	require.Equal(t, session.Event{
		Kind: session.EventClosed, Frontend: "front-1", Session: s.ID(), UID: "ann", Reason: session.ReasonGone,
	}, told[2])
	// It comes back: its sessions are told anew.
	w.cut.Store(false)
	w.watch.AddServer(cluster.Event{Server: w.server})
	require.Eventually(t, func() bool { told, _ := w.history(); return len(told) == 6 }, patience, tick)
	w.converges()
}

// What a frontend that comes back tells is told after the end of what was before,
// however long the listener takes for that.
func TestAFrontendThatComesBackIsToldAfterItsEnd(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	w.enters("ann")
	w.enters("bob")
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.hears(2)
	w.slow.Store(int64(time.Second))
	w.cut.Store(true)
	w.watch.RemoveServer(cluster.Event{Server: w.server})
	w.hears(3) // the listener is at the first end
	w.cut.Store(false)
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.hears(6)
	told, _ := w.history()
	for n, kind := range []session.EventKind{
		session.EventBound, session.EventBound, session.EventClosed, session.EventClosed, session.EventBound, session.EventBound,
	} {
		require.Equal(t, kind, told[n].Kind, "event %d", n)
	}
}

// A frontend that cannot be heard of is tried again when it comes back.
func TestAFrontendThatCouldNotBeHeardOf(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	w.deaf.Store(true)
	w.watch.AddServer(cluster.Event{Server: w.server})
	require.Eventually(t, func() bool {
		w.watch.mu.Lock()
		defer w.watch.mu.Unlock()
		return len(w.watch.followers) == 0
	}, patience, tick)
	w.deaf.Store(false)
	w.watch.AddServer(cluster.Event{Server: w.server})
	w.enters("ann")
	w.hears(1)
}

// Who lost its registration is followed on, also when nobody is there.
func TestAnEmptyFrontendWithoutRegistrationIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	w.lose.Store(1 << 30) // counts what is published
	w.watch.AddServer(cluster.Event{Server: w.server})
	first := w.enters("first")
	w.hears(1)
	first.Close("left")
	w.hears(2)
	w.watch.RemoveServer(cluster.Event{Server: w.server, Reason: cluster.ReasonCrashed})
	n := w.n.Load()
	require.Eventually(t, func() bool { return w.n.Load() > n+2 }, patience, tick)
	w.enters("second").Close("left")
	w.hears(4)
	told, said := w.history()
	require.Equal(t, said, told)

	w.watch.RemoveServer(cluster.Event{Server: w.server, Reason: cluster.ReasonLeft})
	require.Eventually(t, func() bool { return w.watch.group.Running() == 0 }, patience, tick)
}

// A listener that takes its time hears why sessions ended, not that nothing was
// heard of their frontend.
func TestASlowListenerIsNoSilence(t *testing.T) {
	t.Parallel()
	var wires [8]*wire // which of two things is seen first is a matter of luck
	for i := range wires {
		w := newWire(t)
		defer w.stop()
		wires[i] = w
		w.lose.Store(1 << 30) // counts what is published
		w.slow.Store(int64(silence + time.Second))
		w.watch.AddServer(cluster.Event{Server: w.server})
		ann, bob := w.enters("ann"), w.enters("bob")
		w.hears(2)
		w.watch.RemoveServer(cluster.Event{Server: w.server, Reason: cluster.ReasonLeft})
		n := w.n.Load()
		ann.Close("shutdown")
		require.Eventually(t, func() bool { return w.n.Load() > n }, patience, tick)
		bob.Close("shutdown")
	}
	for _, w := range wires {
		w.hears(4)
		told, said := w.history()
		require.Equal(t, said, told)
	}
}

// Whatever word a game closes a session with, the event can travel.
func TestReasonsCanBeEncoded(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	for _, reason := range []string{"\xff", "x" + strings.Repeat("é", maxReason)} {
		w.enters("ann").Close(reason)
	}
	told, err := w.feed.Answer(&clusterpb.SessionsAsk{Nonce: "run", Next: 1})
	require.NoError(t, err)
	require.Len(t, told.GetEvents().GetEvents(), 4)
	_, err = proto.Marshal(told)
	require.NoError(t, err)
}

func TestPagesAreEven(t *testing.T) {
	t.Parallel()
	const pages, each = 7, 1000
	var n [pages]int
	for i := range int64(pages * each) {
		n[pageOf(i*pages, pages)]++
	}
	for _, got := range n {
		require.Less(t, got, 2*each)
	}
}

func TestAnotherRunIsAskedForNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	_, err := w.feed.Answer(&clusterpb.SessionsAsk{Nonce: "earlier"})
	require.ErrorIs(t, err, errOtherRun)
	for _, ask := range []*clusterpb.SessionsAsk{
		{Nonce: "run", Page: 1}, {Nonce: "run", Pages: 1 << 31}, {Nonce: "run", Page: 3, Pages: 3},
	} {
		_, err = w.feed.Answer(ask)
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	}
	told, err := w.feed.Answer(&clusterpb.SessionsAsk{Nonce: "run", Next: 1 << 60})
	require.NoError(t, err)
	require.True(t, told.GetTooOld())
}

func TestOtherServersAreNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	defer w.stop()
	w.watch.AddServer(cluster.Event{Server: &cluster.Server{ID: "a", Type: "other", Frontend: true, Caps: []string{constants.CapSessions}}})
	w.watch.AddServer(cluster.Event{Server: &cluster.Server{ID: "b", Type: "front", Frontend: true}}) // of Pitaya
	w.watch.RemoveServer(cluster.Event{Server: &cluster.Server{ID: "b", Type: "front"}})
	require.Zero(t, w.watch.group.Running())
}

// TestWatchModel: whatever is lost, the listener ends with what is there.
func TestWatchModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWire(t)
		defer w.stop()
		var open []*session.Session
		watched := false
		pick := func(t *rapid.T) *session.Session {
			if len(open) == 0 {
				t.Skip("nobody is there")
			}
			return open[rapid.IntRange(0, len(open)-1).Draw(t, "who")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) { open = append(open, w.enters(fmt.Sprint("u", rapid.IntRange(0, 3).Draw(t, "uid")))) },
			"leave": func(t *rapid.T) { pick(t).Close("left") },
			"unbind": func(t *rapid.T) {
				if err := pick(t).Unbind(context.Background()); err != nil && !errors.Is(err, errs.ErrNotBound) {
					require.ErrorIs(t, err, errs.ErrClosed)
				}
			},
			"lose": func(t *rapid.T) { w.lose.Store(rapid.Uint32Range(0, 3).Draw(t, "every")) },
			"cut":  func(t *rapid.T) { w.cut.Store(rapid.Bool().Draw(t, "cut")) },
			"come": func(*rapid.T) {
				watched = true
				w.watch.AddServer(cluster.Event{Server: w.server})
			},
		})
		if !watched {
			w.watch.AddServer(cluster.Event{Server: w.server})
		}
		w.cut.Store(false)
		w.lose.Store(0)
		w.converges()
	})
}
