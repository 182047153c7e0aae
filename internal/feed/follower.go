package feed

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

const (
	// waiting is how many messages of a frontend may wait; more are dropped, and asked for.
	waiting = 256
	// silence is how long a frontend that left discovery may say nothing until it is gone.
	silence = 3 * beat
	// retry is the first, and longest the last, pause after a question without an answer.
	retry, longest = 100 * time.Millisecond, 2 * time.Second
)

// follower follows one run of a frontend.
type follower struct {
	w      *Watch
	server *cluster.Server
	before *follower // the run before, whose end is told first
	done   chan struct{}
	in     chan *clusterpb.SessionEvents
	wake   chan struct{} // gone changed

	// w.mu guards these three.
	gone bool // discovery does not have the server
	left bool // and it said goodbye, or runs anew
	over bool // its sessions are being ended: who comes back is followed anew, after that

	// The rest is of run's goroutine.
	next  uint64           // number of the next event to tell
	known map[int64]string // uids of the sessions that were told of and are bound
}

func newFollower(w *Watch, s *cluster.Server, before *follower) *follower {
	if before != nil {
		before.left = true
		before.setGone(true)
	}
	return &follower{
		w: w, server: s, before: before, done: make(chan struct{}),
		in: make(chan *clusterpb.SessionEvents, waiting), wake: make(chan struct{}, 1), known: make(map[int64]string),
	}
}

// setGone notes whether discovery has the server. w.mu is held.
func (f *follower) setGone(gone bool) {
	f.gone = gone
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) isGone() bool {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.gone
}

// isEmpty reports whether nothing more is to come: the frontend left in order, and
// its sessions are closed. One that only lost its registration goes on.
func (f *follower) isEmpty() bool {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.gone && f.left && len(f.known) == 0
}

// hear takes what the frontend published.
func (f *follower) hear(events *clusterpb.SessionEvents) {
	select {
	case f.in <- events:
	default: // what comes later shows the gap
	}
}

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	if !f.await(ctx) {
		return
	}
	stop, err := f.w.Hear(f.server, f.hear)
	if err != nil {
		f.w.Log.WithError(err).WithField("server", f.server.ID).Error("the sessions of a frontend cannot be heard of")
		f.w.forget(f) // when it comes back, it is tried again
		return
	}
	defer func() { _ = stop(context.WithoutCancel(ctx)) }()
	f.catchUp(ctx) // from the list on
	f.follow(ctx)
}

// await waits until everything is up and the run before is told to its end.
func (f *follower) await(ctx context.Context) bool {
	select {
	case <-f.w.ready:
	case <-ctx.Done():
		return false
	}
	if f.before != nil {
		select {
		case <-f.before.done:
		case <-ctx.Done():
			return false
		}
		f.before = nil
	}
	return true
}

func (f *follower) follow(ctx context.Context) {
	heard := time.NewTimer(silence)
	defer heard.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			heard.Reset(silence)
		case <-heard.C:
			heard.Reset(silence)
			if len(f.in) == 0 && f.finished(ctx) { // a slow listener is no silence of the frontend
				return
			}
		case events := <-f.in:
			if events.GetNonce() != f.server.Nonce {
				continue
			}
			heard.Reset(silence)
			if f.apply(ctx, events); f.isEmpty() && f.finished(ctx) {
				return
			}
		}
	}
}

// finished ends the sessions of a frontend that is gone.
func (f *follower) finished(ctx context.Context) bool {
	if !f.w.giveUp(f) {
		return false
	}
	for _, id := range slices.Sorted(maps.Keys(f.known)) {
		f.tell(ctx, session.Event{Kind: session.EventClosed, Session: id, UID: f.known[id], Reason: session.ReasonGone})
	}
	f.w.forget(f) // only now, so that who comes back meanwhile waits for the rest
	return true
}

// apply tells the events that are next, and asks for those that are missing.
func (f *follower) apply(ctx context.Context, events *clusterpb.SessionEvents) {
	if events.GetFirst() > f.next {
		f.catchUp(ctx)
	}
	f.tellAll(ctx, events)
}

// tellAll tells the events from next on; none when there is a gap before them.
func (f *follower) tellAll(ctx context.Context, events *clusterpb.SessionEvents) {
	for i, e := range events.GetEvents() {
		if events.GetFirst()+uint64(i) != f.next {
			continue
		}
		f.next++
		f.change(ctx, e)
	}
}

// change tells an event unless a list has shown what it led to.
func (f *follower) change(ctx context.Context, e *clusterpb.SessionEvent) {
	uid, bound := f.known[e.GetSession()]
	out := session.Event{Session: e.GetSession(), UID: e.GetUid(), Reason: e.GetReason()}
	switch e.GetKind() {
	case clusterpb.SessionEvent_Bound:
		if bound {
			return
		}
		out.Kind = session.EventBound
	case clusterpb.SessionEvent_Unbound:
		out.Kind = session.EventUnbound
	case clusterpb.SessionEvent_Closed:
		out.Kind = session.EventClosed
	default:
		return // of a later version
	}
	if out.Kind != session.EventBound && (!bound || uid != out.UID) {
		return
	}
	f.tell(ctx, out)
}

// tell keeps in known what it told. When the listening ends it tells no more.
func (f *follower) tell(ctx context.Context, e session.Event) {
	if ctx.Err() != nil {
		return
	}
	if e.Kind == session.EventBound {
		f.known[e.Session] = e.UID
	} else {
		delete(f.known, e.Session)
	}
	e.Frontend = f.server.ID
	f.w.call(ctx, e)
}

// catchUp asks until nothing is missing, or the frontend is gone.
func (f *follower) catchUp(ctx context.Context) {
	for pause := retry; ; pause = min(2*pause, longest) {
		again, err := f.ask(ctx)
		for err == nil && again {
			again, err = f.ask(ctx)
		}
		if err == nil {
			return
		}
		f.w.Log.WithError(err).WithField("server", f.server.ID).Debug("a frontend was asked for its sessions in vain")
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if f.isGone() {
			return
		}
	}
}

// ask takes one answer, and says whether to ask again.
func (f *follower) ask(ctx context.Context) (again bool, err error) {
	if f.next == 0 {
		return true, f.list(ctx)
	}
	told, err := f.w.Ask(ctx, f.server, &clusterpb.SessionsAsk{Nonce: f.server.Nonce, Next: f.next})
	if err != nil {
		return false, err
	}
	if told.GetTooOld() {
		f.next = 0
		return true, nil
	}
	f.tellAll(ctx, told.GetEvents())
	return len(told.GetEvents().GetEvents()) > 0, nil
}

// list takes all sessions there are and tells the difference.
func (f *follower) list(ctx context.Context) error {
	there, next, pages := make(map[int64]string), uint64(0), uint32(0)
	for page := uint32(0); page == 0 || page < pages; page++ {
		told, err := f.w.Ask(ctx, f.server, &clusterpb.SessionsAsk{Nonce: f.server.Nonce, Page: page, Pages: pages})
		if err != nil {
			return err
		}
		if page == 0 {
			next, pages = max(told.GetNext(), 1), min(told.GetPages(), maxPages)
		}
		for _, s := range told.GetSessions() {
			there[s.GetSession()] = s.GetUid()
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.known)) {
		if uid := f.known[id]; there[id] != uid {
			f.tell(ctx, session.Event{Kind: session.EventUnbound, Session: id, UID: uid, Reason: session.ReasonMissed})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if _, known := f.known[id]; !known {
			f.tell(ctx, session.Event{Kind: session.EventBound, Session: id, UID: there[id]})
		}
	}
	f.next = next
	return nil
}
