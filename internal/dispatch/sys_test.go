package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/protocol"
)

// TestSystemRemotes is wire.md 10.2.
func TestSystemRemotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	room.sees(front)
	p, st := w.seated(front, "")
	sys := func(route string, arg proto.Message) (string, string) {
		data, err := proto.Marshal(arg)
		require.NoError(t, err)
		data, err = room.d.callOne(t.Context(), front.self, route, data)
		if err != nil {
			return "", err.Error()
		}
		return string(data), ""
	}
	ok := "\x0a\x03ack"
	id := p.s.ID()
	for _, c := range []struct {
		route     string
		arg       proto.Message
		data, err string
		after     string // the session's data
	}{
		{"sys.bindsession", &clusterpb.Session{Id: id}, "", "illegal uid", `{}`},
		{"sys.bindsession", &clusterpb.Session{Id: 99, Uid: "ann"}, "", "session not found", `{}`},
		{"front.sys.bindsession", &clusterpb.Session{Id: id, Uid: "ann"}, ok, "", `{}`},
		{"sys.bindsession", &clusterpb.Session{Id: id, Uid: "ann"}, "", "session is already bound to an uid", `{}`},
		{"sys.pushsession", &clusterpb.Session{Id: 99, Data: []byte(`{}`)}, "", "session not found", `{}`},
		{"sys.pushsession", &clusterpb.Session{Id: id, Data: []byte(`{"a":1}`)}, ok, "", `{"a":1}`},
		{"sys.pushsession", &clusterpb.Session{Id: id}, ok, "", `{"a":1}`},
		{"sys.pushsession", &clusterpb.Session{Id: id, Changed: []byte(`{"b":2}`)}, ok, "", `{"a":1,"b":2}`},
		{"sys.pushsession", &clusterpb.Session{Id: id, Changed: []byte(`{"a":null}`)}, ok, "", `{"b":2}`},
		{"sys.pushsession", &clusterpb.Session{Id: id, Data: []byte(`{}`)}, ok, "", `{}`},
		{"sys.kick", &clusterpb.KickMsg{UserId: "nobody"}, "", "session not found", `{}`},
	} {
		data, err := sys(c.route, c.arg)
		require.Equal(t, c.data, data, "%s %v", c.route, c.arg)
		require.Equal(t, c.err, err, "%s %v", c.route, c.arg)
		require.JSONEq(t, c.after, string(p.s.Data()), "%s %v", c.route, c.arg)
	}
	_, err := sys("sys.pushsession", &clusterpb.Session{Id: id, Data: []byte(`[]`)})
	require.NotEmpty(t, err)
	data, err := sys("sys.kick", &clusterpb.KickMsg{UserId: "ann"})
	require.Empty(t, err)
	require.Equal(t, "\x08\x01", data)
	<-st.kicked
}

// What a backend's handler does to its session travels back to the frontend,
// also while the player's mailbox is busy with that handler.
func TestSessionsOfBackends(t *testing.T) {
	t.Parallel()
	w, _, front, room := frontSeesRoom(t)
	room.sees(front)
	p, st := w.seated(front, "")
	p.request(1, "room.game.bind") // binds to "x", the request's data
	require.Nil(t, p.answer(t, 1))
	require.Equal(t, "x", p.s.UID())
	p.request(2, "room.game.bind")
	require.Equal(t, "session is already bound to an uid", p.answer(t, 2).Error())
	p.request(3, "room.game.save")
	require.Nil(t, p.answer(t, 3))
	require.JSONEq(t, `{"saved":"x"}`, string(p.s.Data()))
	p.request(4, "room.game.push")
	require.Nil(t, p.answer(t, 4))
	require.Eventually(t, func() bool { return st.heard() == 1 }, patience, tick)
	m, err := protocol.DecodeMessage(st.packets[0][protocol.HeaderSize:], protocol.Decoding{})
	require.NoError(t, err)
	require.Equal(t, "onPush", m.Route)
	p.request(5, "room.game.kick")
	<-st.kicked
}
