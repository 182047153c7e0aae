package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// ask sends a request of any shape and returns the answer.
func (n *node) ask(to *node, timeout time.Duration, req *clusterpb.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	resp, err := n.d.client.Call(ctx, to.self, req)
	return resp.GetData(), err
}

// forwarded is a client's message as a frontend forwards it.
func forwarded(route string, sequence uint64) *clusterpb.Request {
	return &clusterpb.Request{
		Session: &clusterpb.Session{Id: 7, Data: []byte(`{}`)}, FrontendID: "front-1", FrontendNonce: "n", Sequence: sequence,
		Msg: &clusterpb.Msg{Id: 1, Route: route, Data: []byte("x")}, Metadata: []byte(`{}`),
	}
}

// changed is a forward with something wrong.
func changed(route string, change func(*clusterpb.Request)) *clusterpb.Request {
	req := forwarded(route, 0)
	change(req)
	return req
}

// TestN04_MalformedRequests is wire.md 4.2, 9.3 and 9.5 at the callee.
func TestN04_MalformedRequests(t *testing.T) {
	t.Parallel()
	_, _, front, room := frontSeesRoom(t)
	remote := func(r *clusterpb.Request) { r.Type, r.Session = clusterpb.RPCType_User, nil }
	for name, c := range map[string]struct {
		req  *clusterpb.Request
		code errs.Code
		text string
	}{
		"no metadata":      {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = nil }), "PIT-500", "no context found"},
		"null metadata":    {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte("null") }), "PIT-500", "no context found"},
		"broken metadata":  {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte("{") }), "PIT-500", "unexpected end of JSON input"},
		"timeout type":     {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte(`{"reqTimeout":5}`) }), "PIT-500", ""},
		"timeout text":     {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte(`{"reqTimeout":"soon"}`) }), "PIT-500", `time: invalid duration "soon"`},
		"timeout zero":     {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte(`{"reqTimeout":"0s"}`) }), "PIT-500", "rpc client: request timeout"},
		"expired":          {changed("room.game.echo", func(r *clusterpb.Request) { r.Metadata = []byte(`{"reqTimeout":"1ns"}`) }), "PIT-500", "rpc client: request timeout"},
		"type":             {changed("room.game.echo", func(r *clusterpb.Request) { r.Type = 7 }), "PIT-400", "invalid rpc type"},
		"route":            {changed("game", func(*clusterpb.Request) {}), "PIT-400", "cannot decode route"},
		"empty route":      {changed("", func(*clusterpb.Request) {}), "PIT-400", "cannot decode route"},
		"handler":          {changed("room.game.nope", func(*clusterpb.Request) {}), "PIT-404", "pitaya/handler: room.game.nope not found"},
		"remote as such":   {changed("room.rem.echo", func(*clusterpb.Request) {}), "PIT-404", "pitaya/handler: room.rem.echo not found"},
		"handler as such":  {changed("room.game.echo", remote), "PIT-404", "route not found"},
		"notify route":     {changed("room.game.note", func(*clusterpb.Request) {}), "PIT-400", "tried to request a notify route"},
		"session data":     {changed("room.game.echo", func(r *clusterpb.Request) { r.Session.Data = []byte("[1]") }), "PIT-500", ""},
		"argument":         {changed("room.game.typed", func(*clusterpb.Request) {}), "PIT-400", ""},
		"remote argument":  {changed("room.rem.typed", func(r *clusterpb.Request) { remote(r); r.Msg.Data = []byte{0xff} }), "PIT-400", ""},
		"panic":            {changed("room.game.panic", func(*clusterpb.Request) {}), "PIT-000", "no such room"},
		"unknown frontend": {changed("room.game.bind", func(r *clusterpb.Request) { r.FrontendID = "nobody" }), "PIT-000", "can't find any server with the provided ID"},
		"unbound push":     {changed("room.game.push", func(*clusterpb.Request) {}), "PIT-000", "you have to bind an UID to the session to do that"},
		"no session":       {changed("room.game.echo", func(r *clusterpb.Request) { r.Session = nil }), "", ""},
		"empty session":    {changed("room.game.echo", func(r *clusterpb.Request) { r.Session.Data = nil }), "", ""},
		"other type":       {changed("hall.game.echo", func(*clusterpb.Request) {}), "", ""},
		"far future":       {changed("room.game.echo", func(r *clusterpb.Request) { r.RemainingUs = 1 << 62 }), "", ""},
	} {
		_, err := front.ask(room, patience, c.req)
		require.Equal(t, c.code, errs.CodeOf(err), "%s: %v", name, err)
		if c.text != "" {
			require.Equal(t, c.text, errs.From(err).Error(), name)
		}
	}
	_, err := front.ask(room, patience, changed("room.game.echo", remote))
	require.Equal(t, "game.echo", errs.From(err).Metadata["route"])
}

// TestAFrontendThatNobodyKnowsYet lets players in before all have heard of it.
func TestAFrontendThatNobodyKnowsYet(t *testing.T) {
	t.Parallel()
	w, _, front, room := frontSeesRoom(t)
	failed := make(chan error, 1)
	go func() {
		req := forwarded("room.game.bind", 0)
		req.FrontendID = "front-2"
		_, err := front.ask(room, patience, req)
		failed <- err
	}()
	w.start("front-2", "front")
	err := <-failed
	require.Error(t, err, "it has no such session")
	require.NotContains(t, err.Error(), errNoFrontend.Error())
}

func TestMailboxSequence(t *testing.T) {
	t.Parallel()
	_, g, front, room := frontSeesRoom(t)
	for _, c := range []struct {
		sequence uint64
		code     errs.Code // of the answer
	}{
		{5, ""}, {4, errs.CodeConflict}, {6, ""}, {80, ""}, {6, errs.CodeConflict}, {17, errs.CodeConflict}, {79, errs.CodeConflict}, {81, ""}, {0, ""}, {0, ""},
	} {
		_, err := front.ask(room, patience, forwarded("room.game.echo", c.sequence))
		require.Equal(t, c.code, errs.CodeOf(err), "sequence %d", c.sequence)
	}
	ran := g.calls.Load()
	for _, sequence := range []uint64{80, 81} { // copies of what ran are dropped
		_, err := front.ask(room, 50*time.Millisecond, forwarded("room.game.echo", sequence))
		require.Equal(t, errs.CodeTimeout, errs.CodeOf(err))
	}
	require.Equal(t, ran, g.calls.Load())
	// Other players, frontends and runs of a frontend have numbers of their own.
	for _, change := range []func(*clusterpb.Request){
		func(r *clusterpb.Request) { r.Session.Id = 8 },
		func(r *clusterpb.Request) { r.FrontendID = "front-2" },
		func(r *clusterpb.Request) { r.FrontendNonce = "m" },
	} {
		_, err := front.ask(room, patience, changed("room.game.echo", func(r *clusterpb.Request) { r.Sequence = 1; change(r) }))
		require.NoError(t, err)
	}
}

func TestDoubledRequestsRunOnce(t *testing.T) {
	t.Parallel()
	w, g, front, _ := frontSeesRoom(t)
	w.bus.SetFaults(func(cluster.MemoryMessage) cluster.MemoryFault { return cluster.MemoryFault{Copies: 2} })
	p := w.player(front)
	for id := uint64(1); id <= 20; id++ {
		p.request(id, "room.game.echo")
	}
	for id := uint64(1); id <= 20; id++ {
		require.Nil(t, p.answer(t, id))
	}
	require.EqualValues(t, 20, g.calls.Load())
}

func TestN05_AFullMailboxIsBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Mailbox, w.limits.Timeout = 3, patience
	g := w.withGame()
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	var answers sync.WaitGroup
	var failed atomic.Int64
	send := func(sequence uint64) {
		answers.Go(func() {
			if _, err := front.ask(room, patience, forwarded("room.game.hold", sequence)); err != nil {
				failed.Add(1)
			}
		})
	}
	send(1)
	g.runs(t, 1)
	box, ok := room.d.mailboxes.Load(mailboxKey{"front-1", "n", 7})
	require.True(t, ok)
	for sequence := uint64(2); sequence <= 4; sequence++ {
		send(sequence)
		require.Eventually(t, func() bool {
			box.mu.Lock()
			defer box.mu.Unlock()
			return len(box.queue) == int(sequence)-1
		}, patience, tick)
	}
	begin := time.Now()
	_, err := front.ask(room, patience, forwarded("room.game.hold", 5))
	require.Equal(t, errs.CodeBusy, errs.CodeOf(err))
	require.Less(t, time.Since(begin), patience/2)
	_, err = front.ask(room, patience, changed("room.game.echo", func(r *clusterpb.Request) { r.Session.Id = 8 }))
	require.NoError(t, err, "another player")
	g.open()
	answers.Wait()
	require.Zero(t, failed.Load())
	_, err = front.ask(room, patience, forwarded("room.game.hold", 6))
	require.NoError(t, err)
}

func TestIdleMailboxesGoAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.withGame()
		front, room := w.start("front-1", "front"), w.start("room-1", "room")
		call := func(sequence uint64) error {
			_, err := front.ask(room, time.Second, forwarded("room.game.echo", sequence))
			return err
		}
		require.NoError(t, call(9))
		<-time.After(mailboxIdle - time.Second)
		require.Equal(t, 1, room.d.mailboxes.Size())
		require.Equal(t, errs.CodeConflict, errs.CodeOf(call(8)), "forgotten too early")
		require.NoError(t, call(10))
		<-time.After(mailboxIdle - time.Second)
		require.Equal(t, 1, room.d.mailboxes.Size())
		<-time.After(mailboxIdle / 2)
		require.Zero(t, room.d.mailboxes.Size())
		require.NoError(t, call(1))
	})
}

// A mailbox may be retired between being found and being used.
func TestRetiredMailboxes(t *testing.T) {
	t.Parallel()
	_, _, front, room := frontSeesRoom(t)
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			room.d.mailboxes.Range(func(key mailboxKey, box *mailbox) bool {
				if box.retire(room.d.clock.now() + 2*mailboxIdle) {
					room.d.mailboxes.Delete(key)
				}
				return true
			})
		}
	})
	var callers sync.WaitGroup
	var failed atomic.Int64
	for player := range int64(4) {
		callers.Go(func() {
			for range 200 {
				req := changed("room.game.echo", func(r *clusterpb.Request) { r.Session.Id = player + 1 })
				if _, err := front.ask(room, patience, req); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	callers.Wait()
	cancel()
	sweeper.Wait()
	require.Zero(t, failed.Load())
}

func TestN05_MoreRemotesThanWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Remotes, w.limits.Timeout = 2, patience
	g := w.withGame()
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	room.sees(front)
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { _, _ = front.d.RPC(context.Background(), OutgoingCall{Route: "room.rem.hold"}) })
	}
	g.runs(t, 2)
	begin := time.Now()
	for range 20 {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
		require.Equal(t, errs.CodeBusy, errs.CodeOf(err))
	}
	require.Less(t, time.Since(begin), patience/2)
	p := w.player(front) // mailboxes and sys remotes do not wait for remotes
	p.request(1, "room.game.echo")
	require.Nil(t, p.answer(t, 1))
	_, err := front.d.callOne(t.Context(), room.self, routeKick, nil)
	require.Equal(t, "session not found", errs.From(err).Error())
	g.open()
	held.Wait()
	for range 50 { // workers are used again
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
		require.NoError(t, err)
	}
}

// N02: what nobody waits for any more is not started.
func TestN02_ExpiredWorkIsNotStarted(t *testing.T) {
	t.Parallel()
	_, g, front, room := frontSeesRoom(t)
	var first sync.WaitGroup
	first.Go(func() { _, _ = front.ask(room, patience, forwarded("room.game.hold", 1)) })
	g.runs(t, 1)
	late := make(chan error, 1)
	go func() {
		_, err := front.ask(room, patience, changed("room.game.echo", func(r *clusterpb.Request) { r.Sequence, r.RemainingUs = 2, 1000 }))
		late <- err
	}()
	box, _ := room.d.mailboxes.Load(mailboxKey{"front-1", "n", 7})
	require.Eventually(t, func() bool {
		box.mu.Lock()
		defer box.mu.Unlock()
		return len(box.queue) == 1 && time.Since(box.queue[0].in.Received) > time.Millisecond
	}, patience, tick)
	g.open()
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(<-late))
	require.Zero(t, g.calls.Load())
	first.Wait()
}
