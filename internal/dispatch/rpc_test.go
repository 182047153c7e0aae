package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	for _, c := range []struct {
		call OutgoingCall
		want error
	}{
		{OutgoingCall{Route: "rem.echo"}, ErrNoServerType},
		{OutgoingCall{Route: "front.rem.echo"}, errOnlySelf},
		{OutgoingCall{Route: "front.rem.echo", ServerID: "front-1"}, errOnlySelf},
		{OutgoingCall{Route: "room.rem.echo", ServerID: "room-9"}, errs.ErrServerNotFound},
		{OutgoingCall{Route: "hall.rem.echo"}, errs.ErrNoServer},
		{OutgoingCall{Route: "a.b.c.d"}, errs.ErrInvalidRoute},
	} {
		_, err := front.d.RPC(t.Context(), c.call)
		require.ErrorIs(t, err, c.want, "%+v", c.call)
	}
	alone := New(front.d.Params)
	_, err := alone.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
	require.ErrorIs(t, err, errStandalone)
}

func TestCallsCarryTheirContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	ctx, err := WithValue(t.Context(), "mine", "gold")
	require.NoError(t, err)
	data, err := front.d.RPC(ctx, OutgoingCall{Route: "room.rem.value"})
	require.NoError(t, err)
	require.Equal(t, "gold", string(data))
	_, err = front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", OneWay: true, Payload: []byte("x")})
	require.NoError(t, err)
}

func TestArgumentsAndReplies(t *testing.T) {
	t.Parallel()
	d := newWorld(t).start("front-1", "front").d
	kick := &clusterpb.KickMsg{UserId: "ann"}
	data, err := d.EncodeArgument(kick)
	require.NoError(t, err)
	var back clusterpb.KickMsg
	require.NoError(t, d.DecodeReply(data, &back))
	require.Equal(t, "ann", back.GetUserId())
	data, err = d.EncodeArgument(nil)
	require.NoError(t, err)
	require.Empty(t, data)
	data, err = d.EncodeArgument(map[string]int{"a": 1})
	require.NoError(t, err)
	var raw []byte
	require.NoError(t, d.DecodeReply(data, &raw))
	require.JSONEq(t, `{"a":1}`, string(raw))
	require.NoError(t, d.DecodeReply(data, nil))
	_, err = d.EncodeArgument(func() {})
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	require.Equal(t, errs.CodeInternal, errs.CodeOf(d.DecodeReply([]byte("{"), &map[string]int{})))
	require.Equal(t, errs.CodeInternal, errs.CodeOf(d.DecodeReply([]byte{0xff}, &back)))
}

// N01: nobody listens at the first server; the next one is asked at once, and
// the first is left out until it may be back.
func TestN01_Failover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	w.withGame()
	front := w.start("front-1", "front")
	dead, alive := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(dead, alive)
	dead.transport.Disconnect()
	begin := time.Now()
	players := []*player{w.player(front), w.player(front), w.player(front)}
	for id := uint64(1); id <= 10; id++ {
		for _, p := range players {
			p.request(id, "room.game.echo")
		}
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
		require.NoError(t, err)
	}
	for id := uint64(1); id <= 10; id++ {
		for _, p := range players {
			require.Nil(t, p.answer(t, id))
		}
	}
	require.Less(t, time.Since(begin), patience/2)
	alive.transport.Disconnect()
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
	require.ErrorIs(t, err, errs.ErrNoServer)
	players[0].request(11, "room.game.echo")
	require.Equal(t, errs.ErrNoServer.Error(), players[0].answer(t, 11).Error())
	dead.transport.Reconnect()
	require.Eventually(t, func() bool {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
		return err == nil
	}, patience, 20*time.Millisecond, "a server that was passed over is never tried again")
	id := uint64(11)
	require.Eventually(t, func() bool {
		id++
		players[1].request(id, "room.game.echo")
		return players[1].answer(t, id) == nil
	}, patience, 20*time.Millisecond)
}

// N06: without NATS calls fail at once.
func TestN06_NoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	front.transport.Disconnect()
	begin := time.Now()
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err))
	p := w.player(front)
	p.request(1, "room.game.echo")
	require.Equal(t, errs.CodeUnavailable, p.answer(t, 1).Code)
	p.request(2, "game.echo")
	require.Nil(t, p.answer(t, 2))
	require.Less(t, time.Since(begin), patience/2)
}
