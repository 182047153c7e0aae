package dispatch

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// TestS24_WhoWasThere: a push that asks learns who is online, offline, or at
// frontends that do not tell.
func TestS24_WhoWasThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, one, two := w.start("room-1", "room"), w.start("front-1", "front"), w.start("front-2", "front")
	room.sees(one)
	room.sees(two)
	one.sees(two)
	_, ann := w.seated(one, "ann")
	_, bob := w.seated(two, "bob")
	bob.fate = Dropped
	_, carl := w.seated(two, "carl")
	carl.fate = Gone
	p := Parcel{Route: "onX", Payload: []byte("x"), Priority: Droppable}
	got, err := room.d.Deliver(t.Context(), "front", p, []string{"ann", "bob", "carl", "dora", "ann"})
	require.NoError(t, err)
	require.Equal(t, map[string]Delivery{
		"ann": DeliveryOnline, "bob": DeliveryDropped, "carl": DeliveryOffline, "dora": DeliveryOffline,
	}, got)
	require.Equal(t, 2, ann.heard(), "once for each time that she was named")

	s := room.spied() // more users than one request carries, and data that leaves little room
	s.fail = func(p *clusterpb.Push) error { return nil }
	many := append(uids(uidsPerMessage), "bob")
	got, err = one.d.Deliver(t.Context(), "front", p, many)
	require.NoError(t, err)
	require.Equal(t, DeliveryDropped, got["bob"])
	require.Equal(t, DeliveryOffline, got["u7"])
	require.Len(t, got, len(many))

	w.adapt = func(s *cluster.Server) { s.Caps = nil } // a frontend that cannot tell
	room.sees(w.start("front-3", "front"))
	got, err = room.d.Deliver(t.Context(), "front", p, []string{"ann", "dora"})
	require.NoError(t, err)
	require.Equal(t, map[string]Delivery{"ann": DeliveryOnline, "dora": DeliveryUnknown}, got)
	require.Equal(t, []string{"front/ann", "front/dora"}, s.users)
	require.True(t, s.copied)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	got, err = room.d.Deliver(ended, "front", p, []string{"ann"})
	require.NoError(t, err)
	require.Equal(t, DeliveryUnknown, got["ann"])
	got, err = room.d.Deliver(t.Context(), "nowhere", p, []string{"ann"})
	require.NoError(t, err)
	require.Equal(t, DeliveryUnknown, got["ann"], "of a type that nobody is of nobody tells")

	one.d.client = nil // standalone knows all there are
	got, err = one.d.Deliver(t.Context(), "front", p, []string{"ann", "bob"})
	require.NoError(t, err)
	require.Equal(t, map[string]Delivery{"ann": DeliveryOnline, "bob": DeliveryOffline}, got)
	_, err = one.d.Deliver(t.Context(), "front", Parcel{Route: "x", Key: "y"}, nil)
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	one.d.client = s
}

// TestS24_FrontendsThatTakeNoPlayers: who is there is asked of frontends that are
// paused, and of those that lost their registration; who is on one that does not
// answer is not offline.
func TestS24_FrontendsThatTakeNoPlayers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, paused, away := w.start("room-1", "room"), w.start("front-1", "front"), w.start("front-2", "front")
	room.sees(paused, away)
	_, ann := w.seated(paused, "ann")
	w.seated(away, "bob")
	delivered := func(uid string) Delivery {
		got, err := room.d.Deliver(t.Context(), "front", Parcel{Route: "onX", Payload: []byte("x")}, []string{uid})
		require.NoError(t, err)
		return got[uid]
	}
	require.NoError(t, paused.discovery.Edit(t.Context(), cluster.Edit{State: cluster.StatePaused}))
	w.registry.Crash("front", "front-2")
	require.Eventually(t, func() bool { return len(room.discovery.ServersByType("front")) == 0 }, patience, tick)
	require.Equal(t, DeliveryOnline, delivered("ann"))
	require.Equal(t, 1, ann.heard())
	require.Equal(t, ours, room.d.frontends("front"), "no user needs a message of his own")
	require.Equal(t, DeliveryOnline, delivered("bob"), "it serves on without its registration")
	require.Equal(t, DeliveryOffline, delivered("nobody"))
	away.transport.Disconnect()
	require.Equal(t, DeliveryUnknown, delivered("bob"))
	require.Equal(t, DeliveryUnknown, delivered("nobody"))
	require.Equal(t, DeliveryOnline, delivered("ann"))
}

// A uid that nobody can have keeps nothing from the others.
func TestOneBadUIDSpoilsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, front := w.start("room-1", "room"), w.start("front-1", "front")
	room.sees(front)
	_, ann := w.seated(front, "ann")
	_, bob := w.seated(front, "bob")
	bad := []string{"\xff", strings.Repeat("u", 2<<20)}
	all := []string{"ann", bad[0], bad[1], "bob"}
	p := Parcel{Route: "onX", Payload: []byte("x")}
	failed, err := room.d.PushToUsers(t.Context(), "front", p, all)
	require.ErrorIs(t, err, errs.ErrIllegalUID)
	require.Equal(t, bad, failed)
	require.Eventually(t, func() bool { return ann.heard() == 1 && bob.heard() == 1 }, patience, tick)
	got, err := room.d.Deliver(t.Context(), "front", p, all)
	require.NoError(t, err)
	require.Equal(t, map[string]Delivery{
		"ann": DeliveryOnline, "bob": DeliveryOnline, bad[0]: DeliveryOffline, bad[1]: DeliveryOffline,
	}, got)
	failed, err = room.d.KickUsers(t.Context(), "front", "", all)
	require.ErrorIs(t, err, errs.ErrIllegalUID)
	require.Equal(t, bad, failed)
	<-ann.kicked
	<-bob.kicked
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, one, two := w.start("room-1", "room"), w.start("front-1", "front"), w.start("front-2", "front")
	room.sees(one)
	room.sees(two)
	one.sees(two)
	annPlayer, ann := w.seated(one, "ann")
	bobPlayer, bob := w.seated(two, "bob")
	_, guest := w.seated(two, "")
	require.NoError(t, annPlayer.s.Set("level", 3))
	require.NoError(t, bobPlayer.s.Set("level", 4))
	p := Parcel{Route: "onX", Payload: []byte("x")}
	heard := func(ann_, bob_, guest_ int) func() bool {
		return func() bool { return ann.heard() == ann_ && bob.heard() == bob_ && guest.heard() == guest_ }
	}
	send := func(from *node, to *clusterpb.Everyone) {
		unreached, err := from.d.Broadcast(t.Context(), "front", p, to)
		require.NoError(t, err)
		require.Empty(t, unreached)
	}
	send(room, &clusterpb.Everyone{})
	require.Eventually(t, heard(1, 1, 0), patience, tick)
	send(room, &clusterpb.Everyone{Unbound: true})
	require.Eventually(t, heard(2, 2, 1), patience, tick)
	send(one, &clusterpb.Everyone{}) // its own players once
	require.Eventually(t, heard(3, 3, 1), patience, tick)
	level := func(v string) *clusterpb.Condition { return &clusterpb.Condition{Key: "level", Value: []byte(v)} }
	send(room, &clusterpb.Everyone{Where: []*clusterpb.Condition{level("4")}})
	require.Eventually(t, heard(3, 4, 1), patience, tick)
	send(one, &clusterpb.Everyone{Unbound: true, Where: []*clusterpb.Condition{level("null")}})
	require.Eventually(t, heard(3, 4, 2), patience, tick)
	send(one, &clusterpb.Everyone{Where: []*clusterpb.Condition{level("3"), level("4")}})
	send(one, &clusterpb.Everyone{})
	require.Eventually(t, heard(4, 5, 2), patience, tick, "nobody was meant by the one before")

	w.adapt = func(s *cluster.Server) { s.Caps = nil }
	room.sees(w.start("front-3", "front"))
	unreached, err := room.d.Broadcast(t.Context(), "front", p, &clusterpb.Everyone{})
	require.NoError(t, err)
	require.Equal(t, []string{"front-3"}, unreached)
	for _, bad := range []Parcel{
		{Route: "x", Priority: 7}, {Route: "x", Priority: Droppable, Key: "k"},
		{Route: "x", Priority: Latest, Key: string(make([]byte, 256))}, {Route: string(make([]byte, 256))},
	} {
		_, err := room.d.Broadcast(t.Context(), "front", bad, &clusterpb.Everyone{})
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	}
}

// What a push may be used for survives the hop.
func TestPrioritiesTravel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, front := w.start("room-1", "room"), w.start("front-1", "front")
	room.sees(front)
	s := room.spied()
	_, err := room.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: []byte("x"), Priority: Latest, Key: "k"}, uids(1))
	require.NoError(t, err)
	packet, err := front.d.packet(s.lists[0])
	require.NoError(t, err)
	require.Equal(t, Latest, packet.Priority)
	require.Equal(t, "k", packet.Key)
	for push, want := range map[*clusterpb.Push]Packet{
		{Route: "r", Priority: clusterpb.Push_Latest}:    {Priority: Latest, Key: "r"},
		{Route: "r", Priority: clusterpb.Push_Droppable}: {Priority: Droppable},
		{Route: "r", Priority: 99, Key: "k"}:             {Priority: Must},
	} {
		got, err := front.d.packet(push)
		require.NoError(t, err)
		m, err := protocol.DecodeMessage(got.Bytes[protocol.HeaderSize:], protocol.Decoding{})
		require.NoError(t, err)
		require.Equal(t, "r", m.Route)
		got.Bytes = nil
		require.Equal(t, want, got)
	}
}
