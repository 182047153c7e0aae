package cereus_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// TestN10_NobodyHearsAnothersPush: uids that are patterns of subjects, or break
// them, are refused with a reason or are names as any other, whether or not the
// cluster has a Pitaya server, which uses subjects of users.
func TestN10_NobodyHearsAnothersPush(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"cereus", "pitaya"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			everyoneHearsTheirOwn(t, newWorld(t), with == "pitaya")
		})
	}
}

func everyoneHearsTheirOwn(t *testing.T, w *world, pitaya bool) {
	t.Helper()
	front, other := w.start(server{kind: "gate", front: true, game: halls(t)}), w.start(server{kind: "gate", front: true, game: halls(t)})
	room := w.start(server{kind: "room"})
	gates := 2
	if pitaya {
		_, err := w.etcd().Put(context.Background(), w.prefix+"servers/gate/pitaya-1", `{"id":"pitaya-1","type":"gate","metadata":{},"frontend":true,"hostname":"h"}`)
		require.NoError(t, err)
		gates++
	}
	for _, app := range []*cereus.App{front, other, room} {
		sees(t, app, "gate", gates)
	}
	for _, uid := range []string{
		"", " ", "a b", "a\nb", "a\rb", "a\x00b", "a\tb", "\xff", "a\u2028b", "a..b", "u/../a", "a.*.b", "a.>.b", strings.Repeat("x", 129), strings.Repeat("x", 5000),
	} {
		p := dial(t, front)
		_, err := p.ask("hall.login", uid)
		require.ErrorIs(t, err, errs.ErrIllegalUID, "%q", uid)
		require.NoError(t, p.Close())
	}
	players := map[string]*player{}
	for i, uid := range []string{"a", "a.b", "a.b.c", "a.*", "*", ">", "a.>", "*.b", ".", "/push", "a/push", "日本", "b'\"\\", strings.Repeat("x", 128)} {
		p := dial(t, []*cereus.App{front, other}[i%2])
		p.mustAsk("hall.login", uid)
		players[uid] = p
	}
	conn, err := nats.Connect(w.infra.NATSURL())
	require.NoError(t, err)
	defer conn.Close()
	for uid := range players {
		for _, from := range []*cereus.App{room, front, other} {
			failed, err := from.Push(context.Background(), cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte(uid)}, uid)
			require.NoError(t, err)
			require.Empty(t, failed)
		}
		if pitaya {
			push, err := proto.Marshal(&clusterpb.Push{Route: "onX", Uid: uid, Data: []byte(uid)})
			require.NoError(t, err)
			require.NoError(t, conn.Publish(w.prefix+"gate/user/"+uid+"/push", push))
		}
	}
	pushes := 3
	if pitaya {
		pushes++
	}
	for uid, p := range players {
		until(t, uid+" hears", func() bool { return len(p.got()) >= pushes })
	}
	require.NoError(t, conn.Flush())
	failed, err := room.Push(context.Background(), cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte("end")}, slices.Collect(maps.Keys(players))...)
	require.NoError(t, err)
	require.Empty(t, failed)
	for uid, p := range players {
		p.receives("onX:end")
		require.Len(t, p.got(), pushes+1, "%q", uid)
		for _, push := range p.got()[:pushes] {
			require.Equal(t, "onX:"+uid, push)
		}
	}
}
