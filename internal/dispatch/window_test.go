package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// waitsParked waits until the player's first message waits for a place.
func (p *player) waitsParked(t *testing.T) {
	t.Helper()
	p.rests(t, func() bool { return p.inbox.parked })
}

// rests waits until nothing is served, for a reason that is looked at with the
// inbox's lock held.
func (p *player) rests(t *testing.T, why func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.inbox.mu.Lock()
		defer p.inbox.mu.Unlock()
		return why() && !p.inbox.running
	}, patience, tick)
}

func (p *player) waitingMessages() int {
	p.inbox.mu.Lock()
	defer p.inbox.mu.Unlock()
	return p.inbox.queue.len()
}

// waitsForReading waits until nothing is served before the player has read.
func (p *player) waitsForReading(t *testing.T) {
	t.Helper()
	p.rests(t, func() bool { return p.inbox.unread })
}

func (p *player) reads() {
	p.behind.Store(false)
	p.inbox.Resume()
}

// Who does not read is not served, and keeps nothing that others could use.
func TestAnInboxWaitsForItsReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.Timeout = 1, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	first, second, third, gone := w.player(front), w.player(front), w.player(front), w.player(front)
	first.request(1, "room.game.hold")
	g.runs(t, 1)

	second.request(1, "room.game.echo")
	second.waitsParked(t)
	second.behind.Store(true)
	second.request(2, "game.echo") // would overtake
	second.waitsForReading(t)
	third.request(1, "room.game.echo")
	third.waitsParked(t)
	gone.behind.Store(true)
	gone.request(1, "game.echo")
	gone.waitsForReading(t)

	g.open()
	require.Nil(t, first.answer(t, 1))
	require.Nil(t, third.answer(t, 1), "the place was kept for who does not read")
	require.False(t, second.answered(1))
	require.False(t, second.answered(2))
	second.reads()
	require.Nil(t, second.answer(t, 1))
	require.Nil(t, second.answer(t, 2))
	gone.inbox.Close()
	require.NoError(t, gone.inbox.Drain(t.Context()))
	gone.reads()
	require.False(t, gone.answered(1))
}

func TestSessionWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.SessionWindow, w.limits.Timeout = 3, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p, other := w.player(front), w.player(front)
	for id := uint64(1); id <= 5; id++ {
		p.request(id, "room.game.beside")
	}
	g.runs(t, 3)
	p.waitsParked(t)
	require.Equal(t, 2, p.waitingMessages(), "beyond the window it stays in the mailbox")
	require.Len(t, p.inbox.UnderWay(), 5)
	other.request(1, "room.game.echo")
	require.Nil(t, other.answer(t, 1))
	require.EqualValues(t, 3, g.running.Load())
	g.open()
	for id := uint64(1); id <= 5; id++ {
		require.Nil(t, p.answer(t, id))
	}
	require.Eventually(t, func() bool { return len(p.inbox.UnderWay()) == 0 }, patience, tick)
}

func TestServerWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.Timeout = 2, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"), w.start("hall-1", "hall"))
	first, second := w.player(front), w.player(front)
	first.request(1, "room.game.hold")
	second.request(1, "room.game.hold")
	g.runs(t, 2)
	third := w.player(front)
	third.request(1, "room.game.echo")
	third.waitsParked(t)
	fourth := w.player(front) // another server has places
	fourth.request(1, "hall.game.echo")
	fourth.request(2, "game.echo")
	require.Nil(t, fourth.answer(t, 1))
	require.Nil(t, fourth.answer(t, 2))
	require.False(t, third.answered(1))
	g.open()
	require.Nil(t, third.answer(t, 1))
}

// Who waited for a slot and is gone, or wants another one by now, must not keep
// it from those behind.
func TestASlotIsNeverLostWithWhoWaitedForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.Timeout = 1, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	first := w.player(front)
	first.request(1, "room.game.hold")
	g.runs(t, 1)
	var gone []*player
	for range 5 {
		p := w.player(front)
		p.request(1, "room.game.echo")
		p.waitsParked(t)
		gone = append(gone, p)
	}
	last := w.player(front)
	last.request(1, "room.game.echo")
	last.waitsParked(t)
	for _, p := range gone {
		p.inbox.Close()
	}
	g.open()
	require.Nil(t, last.answer(t, 1), "the slot is free and nobody was told")
}

// The same when somebody resumed finds his message expired and goes on with
// other work.
func TestASlotIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	target := front.d.target(room.self)
	target.window = 0
	var waiting []*player
	for range 3 {
		p := w.player(front)
		p.send(protocol.MessageRequest, 1)
		p.waitsParked(t)
		waiting = append(waiting, p)
	}
	target.mu.Lock()
	target.window = 1
	target.mu.Unlock()
	waiting[0].inbox.mu.Lock() // its message vanished
	waiting[0].inbox.queue = fifo{}
	waiting[0].inbox.mu.Unlock()
	target.offer()
	require.Nil(t, waiting[1].answer(t, 1))
	require.Nil(t, waiting[2].answer(t, 1))
}

func TestNotifiesFreeTheirSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.SessionWindow, w.limits.ServerWindow, w.limits.Timeout = 2, 2, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	for range 20 {
		p.inbox.Offer([]protocol.Message{{Type: protocol.MessageNotify, Route: "room.game.note"}})
		p.inbox.Offer([]protocol.Message{{Type: protocol.MessageNotify, Route: "room.game.nothing"}})
		p.inbox.Offer([]protocol.Message{{Type: protocol.MessageNotify, Route: "room.game.panic"}})
	}
	require.NoError(t, p.inbox.Drain(t.Context()))
	require.EqualValues(t, 20, g.notes.Load())
	require.Zero(t, p.count(), "a notify was answered")
}

func TestS10_ASlowCallDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	slow := w.player(front)
	slow.request(1, "room.game.hold")
	slow.request(2, "room.game.hold")
	g.runs(t, 1)
	slow.request(3, "game.echo") // a forward never holds up what is served here
	require.Nil(t, slow.answer(t, 3))
	begin := time.Now()
	for id := range uint64(50) {
		p := w.player(front)
		p.request(id+1, "room.game.echo")
		require.Nil(t, p.answer(t, id+1))
	}
	require.Less(t, time.Since(begin), patience/2)
	require.False(t, slow.answered(1))
	g.open()
	require.Nil(t, slow.answer(t, 2))
	require.EqualValues(t, 1, g.most.Load(), "two messages of one player ran at once")
}
