package cereus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
)

// TestSubjectsOfUsersAreForPitaya: players have no NATS subscriptions until the
// cluster has a server that sends to their own subjects.
func TestSubjectsOfUsersAreForPitaya(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	infra, err := embedded.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	w := worldOn(t, infra)
	front := w.start(server{kind: "gate", id: "gate-1", front: true, game: func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
	}})
	room := w.start(server{kind: "room"})
	sees(t, room, "gate", 1)
	sees(t, front, "room", 1)

	const players = 20
	before := infra.NATSSubscriptions()
	var all []*player
	for i := range players {
		all = append(all, dial(t, front))
		all[i].mustAsk("hall.login", fmt.Sprint("early-", i))
	}
	require.Equal(t, before, infra.NATSSubscriptions())
	bad := dial(t, front)
	_, err = bad.ask("hall.login", "a..b") // not legal in a subject
	require.Equal(t, errs.ErrIllegalUID.Code, errs.CodeOf(err), "what those subjects cannot carry is refused before they are used")
	failed, err := room.Push(ctx, cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte("shared")}, "early-0")
	require.NoError(t, err)
	require.Empty(t, failed)
	all[0].receives("onX:shared")
	_, err = room.Kick(ctx, "gate", "", "early-1")
	require.NoError(t, err)
	all[1].ends()

	// A Pitaya server comes: nothing but what it writes to etcd, and its pushes.
	_, err = w.etcd().Put(ctx, w.prefix+"servers/gate/pitaya-1", `{"id":"pitaya-1","type":"gate","metadata":{},"frontend":true,"hostname":"h"}`)
	require.NoError(t, err)
	sees(t, room, "gate", 2)
	conn, err := nats.Connect(infra.NATSURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	publish := func(uid, data string) {
		body, err := proto.Marshal(&clusterpb.Push{Route: "onX", Uid: uid, Data: []byte(data)})
		require.NoError(t, err)
		require.NoError(t, conn.Publish(w.prefix+"gate/user/"+uid+"/push", body))
	}
	until(t, "a player who was here is reached", func() bool {
		publish("early-2", "pitaya")
		return len(all[2].got()) > 0
	})
	late := dial(t, front)
	late.mustAsk("hall.login", "late")
	publish("late", "pitaya")
	late.receives("onX:pitaya")
	_, err = room.Push(ctx, cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte("once")}, "late")
	require.NoError(t, err)
	publish("late", "after")
	late.receives("onX:after")
	late.receives("onX:once")
	require.ElementsMatch(t, []string{"onX:pitaya", "onX:once", "onX:after"}, late.got(), "the copy for Pitaya is nothing to a cereus frontend")

	// It goes, and who comes then has none again.
	_, err = w.etcd().Delete(ctx, w.prefix+"servers/gate/pitaya-1")
	require.NoError(t, err)
	sees(t, front, "gate", 1)
	for _, p := range all {
		_ = p.Close()
	}
	_ = late.Close()
	until(t, "all subscriptions are given back", func() bool { return infra.NATSSubscriptions() <= before+1 })
	until(t, "who comes has none", func() bool { // the view shows it before those who listen are told
		p := dial(t, front)
		defer func() { _ = p.Close() }()
		p.mustAsk("hall.login", "last")
		return infra.NATSSubscriptions() <= before+1
	})
}
