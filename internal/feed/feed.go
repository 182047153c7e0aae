package feed

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/session"
)

const (
	// kept is how many events a frontend remembers.
	kept = 8192
	// eventsPerMessage, sessionsPerPage and maxReason, in bytes, keep messages far
	// below the payload limit of NATS.
	eventsPerMessage = 1000
	sessionsPerPage  = 2000
	maxReason        = 128
	maxPages         = 1 << 16
	// beat is how often a frontend says how far it is.
	beat = time.Second
)

// errOtherRun answers who means an earlier run of this frontend.
var errOtherRun = errs.New(errs.CodeConflict, "the frontend was started anew: its sessions are others")

// event is one change, as it is remembered.
type event struct {
	kind        clusterpb.SessionEvent_Kind
	session     int64
	uid, reason string
}

// Feed tells of the sessions of this frontend. It is a lifecycle.Module.
type Feed struct {
	nonce string
	pool  *session.Pool
	tell  func(*clusterpb.SessionEvents) error
	group *lifecycle.Group
	wake  chan struct{}
	beat  time.Duration

	mu   sync.Mutex // guards what follows
	ring []event    // event n is at (n-1) % kept
	next uint64     // number of the next event, from 1
}

// NewFeed returns the feed of the sessions in pool, of the server's run nonce.
// tell publishes; it must not block.
func NewFeed(nonce string, pool *session.Pool, tell func(*clusterpb.SessionEvents) error) *Feed {
	f := &Feed{nonce: nonce, pool: pool, tell: tell, wake: make(chan struct{}, 1), beat: beat, next: 1}
	pool.OnAfterBind(func(_ context.Context, s *session.Session, uid string) error {
		f.add(event{kind: clusterpb.SessionEvent_Bound, session: s.ID(), uid: uid})
		return nil
	})
	pool.OnUnbind(f.unbound)
	return f
}

func (f *Feed) unbound(_ context.Context, s *session.Session, uid string) {
	e := event{kind: clusterpb.SessionEvent_Unbound, session: s.ID(), uid: uid}
	if reason, closed := s.Ended(); closed {
		// Anything else could not be encoded, and nor could the events beside it.
		e.kind, e.reason = clusterpb.SessionEvent_Closed, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
	}
	f.add(e)
}

func (f *Feed) add(e event) {
	f.mu.Lock()
	if len(f.ring) < kept {
		f.ring = append(f.ring, e)
	} else {
		f.ring[(f.next-1)%kept] = e
	}
	f.next++
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Name says what the module is.
func (f *Feed) Name() string { return "session feed" }

// Init begins to publish.
func (f *Feed) Init(context.Context) error {
	f.group = lifecycle.NewGroup(context.Background())
	f.group.Go("session feed", f.run)
	return nil
}

// AfterInit does nothing.
func (f *Feed) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing: sessions close later.
func (f *Feed) BeforeShutdown(context.Context) {}

// Shutdown publishes what is left and ends.
func (f *Feed) Shutdown(ctx context.Context) error { return f.group.Stop(ctx) }

// run publishes events as they come; those that come meanwhile go together.
// What cannot be published, because NATS is away, listeners ask for.
func (f *Feed) run(ctx context.Context) {
	tick := time.NewTicker(f.beat)
	defer tick.Stop()
	told := uint64(1)
	for {
		quiet := false
		select {
		case <-ctx.Done():
			f.publish(told)
			return
		case <-f.wake:
		case <-tick.C:
			quiet = true
		}
		now := f.publish(told)
		if quiet && now == told {
			_ = f.tell(&clusterpb.SessionEvents{Nonce: f.nonce, First: now}) // the next one says the same
		}
		told = now
	}
}

// publish tells everything from number on, and returns the number it came to.
func (f *Feed) publish(from uint64) uint64 {
	for {
		events, ok := f.since(from)
		if !ok { // more came than are kept: listeners see the gap
			from = events.GetFirst()
			continue
		}
		if len(events.GetEvents()) == 0 {
			return from
		}
		_ = f.tell(events)
		from += uint64(len(events.GetEvents()))
	}
}

// since returns events from a number on, as many as a message holds. It reports
// false, and the first that is kept, when that is forgotten.
func (f *Feed) since(from uint64) (*clusterpb.SessionEvents, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &clusterpb.SessionEvents{Nonce: f.nonce, First: from}
	if first := f.next - uint64(len(f.ring)); from < first || from > f.next {
		out.First = first
		return out, false
	}
	for n := from; n < min(f.next, from+eventsPerMessage); n++ {
		e := f.ring[(n-1)%kept]
		out.Events = append(out.Events, &clusterpb.SessionEvent{Kind: e.kind, Session: e.session, Uid: e.uid, Reason: e.reason})
	}
	return out, true
}

// Answer tells a listener what it missed.
func (f *Feed) Answer(ask *clusterpb.SessionsAsk) (*clusterpb.SessionsTold, error) {
	switch {
	case ask.GetNonce() != f.nonce:
		return nil, errOtherRun
	case ask.GetNext() == 0:
		return f.page(ask)
	}
	events, ok := f.since(ask.GetNext())
	if !ok {
		return &clusterpb.SessionsTold{TooOld: true}, nil
	}
	return &clusterpb.SessionsTold{Events: events}, nil
}

// pageOf spreads sessions over pages evenly, whichever ids are bound.
func pageOf(id int64, pages uint32) uint32 {
	return uint32(uint64(id)*0x9e3779b97f4a7c15>>32) % pages
}

// page lists a part of the sessions, chosen by their ids, so that pages need no
// memory here. What changes while they are read, the events
// from page 0's next on tell.
func (f *Feed) page(ask *clusterpb.SessionsAsk) (*clusterpb.SessionsTold, error) {
	f.mu.Lock()
	told := &clusterpb.SessionsTold{Pages: ask.GetPages(), Next: f.next}
	f.mu.Unlock()
	if told.Pages == 0 {
		told.Pages = uint32(min(f.pool.Count()/sessionsPerPage+1, maxPages))
	}
	if told.Pages > maxPages || ask.GetPage() >= told.Pages {
		return nil, errs.New(errs.CodeBadRequest, "there is no such page")
	}
	f.pool.EachBound(func(uid string, s *session.Session) {
		if pageOf(s.ID(), told.Pages) == ask.GetPage() {
			told.Sessions = append(told.Sessions, &clusterpb.SessionEvent{
				Kind: clusterpb.SessionEvent_Bound, Session: s.ID(), Uid: uid,
			})
		}
	})
	return told, nil
}
