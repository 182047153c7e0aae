package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

func TestAFullInboxPausesItsReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Mailbox = 4
	g := w.withGame()
	p := w.player(w.start("front-1", "front"))
	require.True(t, p.request(1, "game.hold"))
	g.runs(t, 1)
	offered := make(chan uint64, 16)
	var reader sync.WaitGroup
	reader.Go(func() {
		for id := uint64(2); id <= 8; id++ {
			if !p.request(id, "game.hold") {
				return
			}
			offered <- id
		}
	})
	require.Eventually(t, func() bool { return len(offered) == 4 }, patience, tick)
	select {
	case <-time.After(20 * time.Millisecond):
	case <-p.s.Context().Done():
	}
	require.Len(t, offered, 4, "the reader was not stopped")
	g.open()
	reader.Wait()
	for id := uint64(1); id <= 8; id++ {
		require.Nil(t, p.answer(t, id))
	}
	require.EqualValues(t, 1, g.most.Load(), "handlers of one session ran at once")
}

func TestAnInboxIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Mailbox = 64
	g := w.withGame()
	p := w.player(w.start("front-1", "front"))
	require.True(t, p.request(1, "game.hold"))
	g.runs(t, 1)
	waits := func() int {
		p.inbox.mu.Lock()
		defer p.inbox.mu.Unlock()
		return p.inbox.queue.bytes
	}
	const each = 64 << 10
	var batch []protocol.Message
	for id := range uint64(40) {
		batch = append(batch, protocol.Message{Type: protocol.MessageRequest, ID: id + 2, Route: "game.echo", Data: make([]byte, each)})
	}
	batch[39].Data = make([]byte, 3*mailboxBytes) // an empty inbox takes it
	offered := make(chan bool)
	go func() { offered <- p.inbox.Offer(batch) }()
	require.Eventually(t, func() bool { return waits() == mailboxBytes }, patience, tick)
	select {
	case <-time.After(20 * time.Millisecond):
	case <-offered:
	}
	require.Equal(t, mailboxBytes, waits(), "the reader was not stopped")
	g.open()
	require.True(t, <-offered)
	for id := uint64(1); id <= 41; id++ {
		require.Nil(t, p.answer(t, id))
	}
	require.Zero(t, waits())
}

func TestOfferEndsWithTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*player){
		"inbox":   func(p *player) { p.inbox.Close() },
		"session": func(p *player) { p.s.Close("left") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.limits.Mailbox = 1
			g := w.withGame()
			p := w.player(w.start("front-1", "front"))
			p.request(1, "game.hold")
			g.runs(t, 1)
			require.True(t, p.request(2, "game.hold"))
			refused := make(chan bool)
			go func() { refused <- p.request(3, "game.hold") }()
			require.Eventually(t, func() bool {
				p.inbox.mu.Lock()
				defer p.inbox.mu.Unlock()
				return p.inbox.room != nil
			}, patience, tick)
			end(p)
			require.False(t, <-refused)
			p.inbox.Close()
			require.False(t, p.request(4, "game.echo"))
			g.open()
			require.NoError(t, p.inbox.Drain(t.Context()))
			require.False(t, p.answered(2), "what waited was served after Close")
		})
	}
}

func TestConcurrentHandlersRunBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.SessionWindow = 3
	g := w.withGame()
	p := w.player(w.start("front-1", "front"))
	for id := uint64(1); id <= 3; id++ {
		p.request(id, "game.beside")
	}
	g.runs(t, 3)
	p.request(4, "game.echo") // is not held up
	require.Nil(t, p.answer(t, 4))
	for id := uint64(5); id <= 9; id++ { // but they are limited
		p.request(id, "game.beside")
	}
	p.request(10, "game.echo")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	require.Error(t, p.inbox.Drain(ctx), "drained while handlers run")
	require.EqualValues(t, 3, g.running.Load())
	require.False(t, p.answered(10))
	g.open()
	require.NoError(t, p.inbox.Drain(t.Context()))
	for id := uint64(1); id <= 10; id++ {
		require.Nil(t, p.answer(t, id))
	}
}

func TestAHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	id := uint64(0)
	for _, route := range []string{"game.exit", "game.exitbeside", "room.game.exit", "room.game.exitbeside"} {
		for range 2 {
			id += 2
			p.request(id, route)
			p.request(id+1, "room.game.echo")
			failure := p.answer(t, id)
			require.NotNil(t, failure, route)
			require.Equal(t, errs.CodeInternal, failure.Code)
			require.Nil(t, p.answer(t, id+1), "the session stalled")
		}
	}
	require.NoError(t, p.inbox.Drain(t.Context()))
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.exit"})
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
}

func TestN19_PanicsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log, logged := logtest.NewNullLogger()
	w.log = log
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	for id, route := range []string{"game.panic", "room.game.panic"} {
		p.request(uint64(id)+1, route)
		failure := p.answer(t, uint64(id)+1)
		require.Equal(t, errs.CodeInternal, failure.Code)
		require.Equal(t, "no such room", failure.Error())
		entry := logged.LastEntry()
		require.Equal(t, "a handler panicked; its caller gets an error", entry.Message)
		require.Equal(t, []string{"front.game.panic", "room.game.panic"}[id], entry.Data["route"])
		require.Equal(t, p.s.ID(), entry.Data["session"])
	}
}

func TestTheLogSuggestsARouteForOneThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log, logged := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	w.log = log
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	for id, c := range []struct{ route, nearest string }{
		{"game.Echo", "front.game.echo"}, {"room.game.ekko", "room.game.echo"}, {"somethingelse.altogether", ""},
	} {
		p.request(uint64(id)+1, c.route)
		require.Equal(t, errs.CodeNotFound, p.answer(t, uint64(id)+1).Code)
		at := slices.IndexFunc(logged.AllEntries(), func(e *logrus.Entry) bool {
			return e.Message == "no handler is registered for this route" && strings.HasSuffix(e.Data["route"].(string), c.route)
		})
		require.GreaterOrEqual(t, at, 0, c.route)
		require.Equal(t, c.nearest, fmt.Sprint(logged.AllEntries()[at].Data["nearest"]))
	}
}

// counter checks that the handlers of one session never run at once and that
// its messages stay in order, while the serving goroutine ends and starts all
// the time.
type counter struct {
	inside atomic.Int64
	last   atomic.Int64
	wrong  atomic.Int64
}

func (c *counter) Routes(r *component.Routes) {
	component.NotifyRaw(r, "next", func(_ context.Context, b []byte) {
		if c.inside.Add(1) > 1 || c.last.Add(1) != int64(b[0])|int64(b[1])<<8|int64(b[2])<<16 {
			c.wrong.Add(1)
		}
		runtime.Gosched()
		c.inside.Add(-1)
	})
}

func TestServingNeverOverlaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	var counters []*counter
	w.register = func(table *component.Table) error {
		c := &counter{}
		mu.Lock()
		counters = append(counters, c)
		mu.Unlock()
		return table.Register(c, component.WithName("count"))
	}
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	for n := 1; n <= 20000; n++ {
		data := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
		p.inbox.Offer([]protocol.Message{{Type: protocol.MessageNotify, Route: "count.next", Data: data}})
		p.inbox.Offer([]protocol.Message{{Type: protocol.MessageNotify, Route: "room.count.next", Data: data}})
		if n%2 == 0 {
			require.NoError(t, p.inbox.Drain(t.Context()))
		}
	}
	require.NoError(t, p.inbox.Drain(t.Context()))
	for _, c := range counters {
		require.Zero(t, c.wrong.Load())
		require.EqualValues(t, 20000, c.last.Load())
	}
}

func TestStandaloneForwardsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	p := w.player(w.start("front-1", "front"))
	for id, route := range map[uint64]string{1: "nobody.game.echo", 2: "room.svc.ask"} {
		p.request(id, route)
		require.Equal(t, errs.ErrNoServer.Error(), p.answer(t, id).Error())
	}
	for id, route := range map[uint64]string{3: "game.nothing", 4: "front.game.nothing", 5: "sys.kick"} {
		p.request(id, route)
		failure := p.answer(t, id)
		require.Equal(t, errs.CodeNotFound, failure.Code)
		require.Contains(t, failure.Error(), "pitaya/handler: front.")
	}
}
