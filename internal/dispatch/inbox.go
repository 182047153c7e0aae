package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// Responder is the way to a session's client.
type Responder interface {
	// Respond takes the answer to a request. more says that further work of the
	// session is under way, so that answers may be gathered.
	Respond(id uint64, data []byte, failure *errs.Error, more bool)
	// Broken reports whether the connection broke, for when nobody reads from it.
	Broken() bool
	// Behind reports whether the client has to read first, because much waits to be
	// written. After true the inbox is resumed when that was written, or closed.
	Behind() bool
}

// mailboxBytes is how much data of one session waits, if it is more than one message.
const mailboxBytes = 1 << 20

// askBroken is how often a reader that waits for room asks whether its client
// is gone.
const askBroken = time.Second

// message is one message of a client that waits or is being served.
type message struct {
	route  *route
	id     uint64 // 0: nobody waits for an answer
	data   []byte
	notify bool
	at     time.Duration // when it was read, on the dispatcher's clock
	then   *facts        // of the session, when it was overtaken; else nil
}

// Inbox holds the messages of one session in the order they came and serves
// them one after the other, on a goroutine that lives only while there are any.
// Local handlers run in it; a forward is sent from it and answered later.
type Inbox struct {
	d       *Dispatcher
	session *session.Session
	out     Responder

	mu      sync.Mutex // guards everything below
	queue   fifo
	running bool // a goroutine serves the queue
	parked  bool // the first message, or retry, waits for a place
	unread  bool // the first message waits until the client has read more
	closed  bool
	room    chan struct{} // non-nil: the reader waits for the queue to shrink
	idle    chan struct{} // non-nil: somebody waits until nothing is left to do
	flight  int           // forwards without an outcome
	beside  []*route      // of the concurrent handlers that run
	serving *route        // of the handler that runs in turn; nil: none
	flying  *forward      // the latest of the forwards without an outcome, which are linked
	seq     uint64        // of the last forward
	lanes   []*lane
	awaits  *target    // on whose list of waiting ones it is
	unsure  *target    // on whose list of unsure ones it is
	offered *target    // whose free slot it was resumed for
	retries []*forward // not delivered, to be sent elsewhere before anything else
}

// NewInbox returns the inbox of s, whose answers go to out.
func (d *Dispatcher) NewInbox(s *session.Session, out Responder) *Inbox {
	return &Inbox{d: d, session: s, out: out}
}

// Offer takes messages, which were read just now, in their order. It blocks
// while the inbox is full: its caller, the reader of the connection, then stops
// reading. It reports false when the inbox was closed or the connection broke.
// What the messages hold must not change afterwards; the slice may.
func (b *Inbox) Offer(batch []protocol.Message) bool {
	at := b.d.clock.now()
	for {
		n, room, ok := b.put(batch, at)
		if room == nil {
			return ok
		}
		batch = batch[n:]
		if !b.awaitRoom(room) {
			return false
		}
	}
}

// awaitRoom reports false when the session or its connection has ended.
func (b *Inbox) awaitRoom(room <-chan struct{}) bool {
	tick := time.NewTicker(askBroken)
	defer tick.Stop()
	for {
		select {
		case <-room:
			return true
		case <-b.session.Context().Done():
			return false
		case <-tick.C:
			if b.out.Broken() {
				return false
			}
		}
	}
}

// put appends what there is room for and returns how many that are. It returns
// a channel to wait on when there is more.
func (b *Inbox) put(batch []protocol.Message, at time.Duration) (n int, room <-chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, nil, false
	}
	locals := int64(0)
	b.queue.reserve(min(len(batch), b.d.Limits.Mailbox-b.queue.len()))
	for ; n < len(batch) && b.roomLocked(len(batch[n].Data)); n++ {
		w := b.d.received(&batch[n], at)
		b.queue.push(w)
		if w.route.local != nil {
			locals++
		}
	}
	if locals > 0 {
		b.inFlight().Add(locals)
	}
	if n > 0 {
		b.startLocked()
	}
	if n == len(batch) {
		return n, nil, true
	}
	if b.room == nil {
		b.room = make(chan struct{})
		b.d.Metrics.MailboxFull()
	}
	return n, b.room, true
}

// roomLocked reports whether the queue takes another message of so many bytes.
func (b *Inbox) roomLocked(bytes int) bool {
	return b.queue.len() < b.d.Limits.Mailbox && (b.queue.len() == 0 || b.queue.bytes+bytes <= mailboxBytes)
}

// received is what an inbox keeps of m.
func (d *Dispatcher) received(m *protocol.Message, at time.Duration) message {
	w := message{id: m.ID, data: m.Data, notify: m.Type == protocol.MessageNotify, at: at}
	if m.Type == protocol.MessagePush {
		w.id = 0 // the handler runs, nothing is sent (wire.md 3.7)
	}
	w.route = d.routes.find(m.Route)
	return w
}

// inFlight counts the messages for handlers of this server, from put until
// their handler has returned or Close dropped them.
func (b *Inbox) inFlight() *atomic.Int64 { return b.d.inFlight.of(b.session.ID()) }

// startLocked makes sure that somebody serves the queue.
func (b *Inbox) startLocked() {
	if b.running || b.closed || b.parked && !b.canOvertakeLocked() || b.unread && !b.sendsAgainLocked() {
		return
	}
	b.running = b.d.inboxes.Go(b)
}

// resume has the first message try again, because t has a free slot and took b
// off its list of waiting ones. It reports false when b waits for nothing;
// otherwise b offers the slot on when it does not need it.
func (b *Inbox) resume(t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaits = nil
	waits := b.parked && !b.unread // a slot is not kept for who has to wait for its client
	if waits {
		b.offered = t
	}
	b.unparkLocked()
	return waits
}

// Resume has the first message try again, because the client has read.
func (b *Inbox) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread = false
	b.startLocked()
}

// waitsForReadingLocked reports whether nothing is served before the client has read
// more: answers would come faster than it takes them, and nobody waits for a client.
// What is sent again was served before, and does not wait.
func (b *Inbox) waitsForReadingLocked() bool {
	b.unread = !b.sendsAgainLocked() && b.out.Behind()
	return b.unread
}

// sendsAgainLocked reports whether a retry comes next.
func (b *Inbox) sendsAgainLocked() bool { return !b.parked && len(b.retries) > 0 }

// sure has the first message try again, because t took b off its list of unsure ones.
func (b *Inbox) sure() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsure = nil
	b.unparkLocked()
}

// unparkLocked may be called without need.
func (b *Inbox) unparkLocked() {
	if b.parked {
		b.parked = false
		b.startLocked()
	}
}

func (b *Inbox) run(context.Context) {
	serving := false // inside a handler, which may end this goroutine
	defer func() {
		if serving {
			b.survive()
		}
	}()
	now := unknownTime
	for {
		s := b.next()
		switch {
		case !s.ok:
			s.passOn()
			return
		case s.again != nil:
			b.resend(s.again)
			s.passOn()
			now = unknownTime
		case s.m.route.local != nil:
			s.passOn()
			serving = true
			now = b.serve(&s, now)
			serving = false
		default:
			b.forward(s.m)
			s.passOn()
			now = unknownTime
		}
	}
}

// survive starts another goroutine after a handler ended this one (runtime.Goexit).
func (b *Inbox) survive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running, b.serving = false, nil
	b.startLocked()
	b.settleLocked()
}

// unknownTime has who needs the time ask the clock for it.
const unknownTime time.Duration = -1

// step is one thing that an inbox does.
type step struct {
	ok    bool
	again *forward // to be sent again; else m is to be served
	m     message
	more  bool    // others wait behind m
	room  *target // whose free slot this step was resumed for
}

// passOn lets the next one have the slot, if it is still free.
func (s *step) passOn() {
	if s.room != nil {
		s.room.offer()
	}
}

// next is what is to be done now: a retry, else the first message. What goes to
// another server stays where it is until admit lets it go.
func (b *Inbox) next() (s step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.room, b.offered = b.offered, nil
	b.serving = nil
	if b.queue.len() > 0 && len(b.retries) == 0 && b.crowdedLocked() {
		b.parked = true
	}
	if b.closed || b.parked && !b.canOvertakeLocked() || b.queue.len()+len(b.retries) == 0 || b.waitsForReadingLocked() {
		b.running = false
		b.settleLocked()
		return s
	}
	s.ok = true
	if b.parked {
		s.m = b.overtakeLocked()
		b.servingLocked(s.m.route)
		return s
	}
	if len(b.retries) > 0 {
		s.again = b.retries[0]
		return s
	}
	s.m = b.queue.first()
	if s.m.route.local != nil {
		b.popLocked()
		b.servingLocked(s.m.route)
		s.more = b.queue.len() > 0
	}
	return s
}

// servingLocked notes the handler that runs next, if it runs in turn.
func (b *Inbox) servingLocked(r *route) {
	if !r.concurrent() {
		b.serving = r
	}
}

// crowdedLocked reports whether the first message has to wait for one of the
// concurrent handlers to return.
func (b *Inbox) crowdedLocked() bool {
	return len(b.beside) >= b.d.Limits.SessionWindow && b.queue.first().route.concurrent()
}

// popLocked removes the first message and lets the reader go on.
func (b *Inbox) popLocked() {
	b.queue.pop()
	b.madeRoomLocked()
}

func (b *Inbox) madeRoomLocked() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

func (b *Inbox) pop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.len() > 0 {
		b.popLocked()
	}
}

// more reports whether messages wait behind the one being served.
func (b *Inbox) more() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.len() > 0
}

// settleLocked tells Drain that nothing is left to do.
func (b *Inbox) settleLocked() {
	if b.idle != nil && b.quietLocked() {
		close(b.idle)
		b.idle = nil
	}
}

func (b *Inbox) quietLocked() bool {
	return !b.running && b.flight+len(b.beside) == 0 && (b.closed || b.queue.len()+len(b.retries) == 0)
}

// Drain waits until everything that was offered has its outcome, or ctx ends.
func (b *Inbox) Drain(ctx context.Context) error {
	b.mu.Lock()
	if b.quietLocked() {
		b.mu.Unlock()
		return nil
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close drops what waits. What runs, and what was forwarded, ends without an answer.
func (b *Inbox) Close() {
	b.drop()
	b.d.Router.Forget(b.d.Self.ID, b.session.ID())
}

func (b *Inbox) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.inFlight().Add(-int64(b.queue.locals()))
	b.queue = fifo{}
	b.retries = nil
	b.parked = false
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	b.settleLocked()
}
