package agent

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// rawRequest is a data packet whose route is any bytes up to 255 of them.
func rawRequest(id uint64, route, data string) []byte {
	body := binary.AppendUvarint([]byte{0}, id)
	body = append(body, byte(len(route)))
	body = append(body, route...)
	body = append(body, data...)
	packet, _ := protocol.AppendPacket(nil, protocol.PacketData, body) // short enough
	return packet
}

// TestS08_RoutesOfClients: what no handler has is an error to who asks, in a
// server alone.
func TestS08_RoutesOfClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	const either = errs.Code("400 or 404")
	id := uint64(0)
	for route, code := range map[string]errs.Code{
		"": errs.CodeBadRequest, ".": errs.CodeBadRequest, "a..b": errs.CodeBadRequest, "..": errs.CodeBadRequest,
		"svc": errs.CodeBadRequest, "a.b.c.d": errs.CodeBadRequest, " . ": errs.CodeBadRequest, ".echo": errs.CodeBadRequest,
		strings.Repeat("a", 255): errs.CodeBadRequest, strings.Repeat("a", 127) + "." + strings.Repeat("b", 127): errs.CodeNotFound,
		"svc.echo\x00": either, "\x00.\x00": either, "*.*": either, "svc.*": either, "svc.>": either,
		"svc.\xff\xfe": either, "SVC.echo": errs.CodeNotFound, "svc.echo\n": either,
		"sys.kick": errs.CodeNotFound, "front.sys.kick": errs.CodeNotFound,
		"sys.bindsession": errs.CodeNotFound, "front.sys.pushsession": errs.CodeNotFound,
	} {
		id++
		_, err := c.nc.Write(rawRequest(id, route, "x"))
		require.NoError(t, err)
		got := c.failure(id)
		if code == either {
			require.Contains(t, []string{string(errs.CodeBadRequest), string(errs.CodeNotFound)}, got, "%q", route)
			continue
		}
		require.Equal(t, string(code), got, "%q", route)
	}
	c.works(id + 1)
	// 256 bytes do not fit: the length byte says 0, and the rest is the payload.
	packet := rawRequest(id+2, strings.Repeat("a", 256), "")
	_, err := c.nc.Write(packet)
	require.NoError(t, err)
	require.Equal(t, string(errs.CodeBadRequest), c.failure(id+2))
	require.ErrorIs(t, encodeError(strings.Repeat("a", 256)), protocol.ErrRouteTooLong)
	c.works(id + 3)
}

func encodeError(route string) error {
	_, err := (&protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: route}).AppendTo(nil, protocol.Encoding{})
	return err
}

// FuzzS08_RoutesOfClients: any route is answered, with the reply of a handler or
// with one of three errors, and the connection goes on.
func FuzzS08_RoutesOfClients(f *testing.F) {
	for _, route := range []string{"svc.echo", "front.svc.echo", "", "a..b", "sys.kick", "\x00.\x00", "room.svc.echo", strings.Repeat("é.", 80)} {
		f.Add(route)
	}
	r := newRig(f, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	id := uint64(0)
	f.Fuzz(func(t *testing.T, route string) {
		if len(route) > 255 || strings.HasSuffix(route, "svc.block") || strings.HasSuffix(route, "svc.kickme") || strings.HasSuffix(route, "svc.huge") {
			t.Skip()
		}
		id++
		c.t = t
		_, err := c.nc.Write(rawRequest(id, route, "x"))
		require.NoError(t, err)
		m := c.answer()
		require.Equal(t, id, m.ID)
		if m.Err {
			require.Regexp(t, `PIT-(400|404|429|500)`, string(m.Data))
			return
		}
		require.Regexp(t, `^\s*(front\s*\.)?\s*svc\s*\.\s*(echo|rated)\s*$`, route)
	})
}

// TestS09_IDs: of requests, notifies and what is neither; never an answer to
// the wrong id.
func TestS09_IDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	ask := func(kind protocol.MessageType, id uint64, route, data string) {
		c.message(protocol.Message{Type: kind, ID: id, Route: route, Data: []byte(data)})
	}
	answers := func(id uint64, data string) {
		m := c.answer()
		require.Equal(t, id, m.ID)
		require.Equal(t, protocol.MessageResponse, m.Type)
		require.Equal(t, data, string(m.Data))
	}
	// An id in use is the client's to tell apart: each is answered, in order.
	ask(protocol.MessageRequest, 7, "svc.block", "first")
	ask(protocol.MessageRequest, 7, "svc.echo", "second")
	ask(protocol.MessageRequest, 8, "svc.echo", "third")
	require.Eventually(t, func() bool { return r.game.blocked.Load() == 1 }, patience, tick)
	r.game.open()
	answers(7, "first")
	answers(7, "second")
	answers(8, "third")
	// Id 0 and notifies run and are never answered, whatever comes of them.
	ask(protocol.MessageRequest, 0, "svc.echo", "nobody waits")
	ask(protocol.MessageRequest, 0, "svc.nothing", "")
	ask(protocol.MessageRequest, 0, "svc.note", "with id 0")
	ask(protocol.MessageNotify, 0, "svc.echo", "nobody waits")
	ask(protocol.MessageNotify, 0, "svc.nothing", "")
	ask(protocol.MessageNotify, 0, "svc.note", "as a notify")
	ask(protocol.MessagePush, 0, "svc.note", "as a push")
	ask(protocol.MessagePush, 0, "svc.echo", "as a push")
	ask(protocol.MessageRequest, 9, "svc.note", "as a request")
	require.Equal(t, "PIT-400", c.failure(9), "that is told, and nothing of those before")
	require.Equal(t, []string{"with id 0", "as a notify", "as a push"}, r.game.heard())
	// A response has no route.
	ask(protocol.MessageResponse, 10, "", "x")
	require.Equal(t, "PIT-400", c.failure(10))
	largest := uint64(1<<64 - 1)
	ask(protocol.MessageRequest, largest, "svc.echo", "x")
	answers(largest, "x")
	c.works(11)

	unknown, err := protocol.AppendPacket(nil, protocol.PacketData, []byte{1, 12, 0xff, 0xff}) // a route code of no dictionary
	require.NoError(t, err)
	_, err = c.nc.Write(unknown)
	require.NoError(t, err)
	require.Error(t, c.end())
}
