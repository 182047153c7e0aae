package main_test

import (
	"context"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

type hall struct {
	last atomic.Pointer[session.Session] // who spoke last
}

type word struct {
	Text string `json:"text"`
}

func (h *hall) Say(ctx context.Context, w *word) (*word, error) {
	if w.Text == "" {
		return nil, errs.New(errs.CodeConflict, "say something").With("why", "empty")
	}
	if s, ok := session.FromContext(ctx); ok {
		h.last.Store(s)
		_ = s.Push(ctx, "onSaid", w)
	}
	return w, nil
}

func (*hall) Hush(ctx context.Context, w *word) {
	if s, ok := session.FromContext(ctx); ok {
		_ = s.Push(ctx, "onHush", w)
	}
}

func (*hall) Leave(ctx context.Context) (*word, error) {
	if s, ok := session.FromContext(ctx); ok {
		_ = s.Kick(ctx, "banned")
	}
	return nil, errs.New(errs.CodeInternal, "gone")
}

// game starts a real frontend and returns its address.
func game(t *testing.T) string {
	t.Helper()
	addr, _ := gameOf(t)
	return addr
}

func gameOf(t *testing.T) (string, *hall) {
	t.Helper()
	h := new(hall)
	app, err := cereus.New(cereus.Frontend("connector"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	require.NoError(t, err)
	require.NoError(t, app.Register(h, component.WithName("hall")))
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	require.NoError(t, app.Start(ctx))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		assert.NoError(t, app.Shutdown(ctx))
	})
	return app.Addrs()[0].String(), h
}

func TestReplScript(t *testing.T) {
	t.Parallel()
	p, code := run(t, `
# a comment
request connector.hall.Say {"text":"hello"}
wait onSaid
notify connector.hall.Hush {"text":"pst"}
wait onHush 20s
status
`, "repl", game(t))
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), "{\n  \"text\": \"hello\"\n}\n")
	require.Contains(t, p.out.String(), "push onSaid {\"text\":\"hello\"}\n")
	require.Contains(t, p.out.String(), "push onHush {\"text\":\"pst\"}\n")
	require.Contains(t, p.out.String(), "serializer json")
	require.Empty(t, p.err.String())
}

func TestReplScriptFailures(t *testing.T) {
	t.Parallel()
	addr := game(t)
	for script, want := range map[string]string{
		`request connector.hall.Say {}`:       `line 1: request connector.hall.Say: PIT-409: say something {"why":"empty"}`,
		`request connector.hall.Say`:          "such as {}?",
		`request connector.nowhere.x {}`:      "PIT-404",
		`request connector.hall.Say nonsense`: "not JSON",
		`request connector.hall.Say hex:0`:    "not hex",
		`request`:                             "usage: request ROUTE",
		`connect`:                             "usage: connect ADDR",
		`frobnicate`:                          "type help",
		`wait onNever 50ms`:                   "no push onNever within 50ms",
		"disconnect\nrequest a.b {}":          "line 2: request a.b: not connected",
		"request connector.hall.Leave\nwait":  "kicked: banned",
		`connect 127.0.0.1:1`:                 "refused",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			p, code := run(t, script+"\nhelp\nquit\nrequest never.reached", "repl", addr)
			require.Equal(t, 1, code)
			require.Contains(t, p.err.String(), want)
			require.Contains(t, p.out.String(), "PAYLOAD is JSON", "it goes on after a failure")
			require.NotContains(t, p.err.String(), "never")
		})
	}
}

func TestReplConnectsByCommandAndAgain(t *testing.T) {
	t.Parallel()
	addr := game(t)
	p, code := run(t, "connect "+addr+"\nconnect tcp://"+addr+"\nrequest connector.hall.Say text:{\"text\":\"x\"}\ndisconnect\n", "repl")
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), `"text": "x"`)
}

func TestReplInterrupted(t *testing.T) {
	t.Parallel()
	p := command(t, "repl", game(t))
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, p.cmd.Start())
	_, err = in.Write([]byte("help\n"))
	require.NoError(t, err)
	p.prints("PAYLOAD")
	require.Equal(t, 1, p.interrupt())
}

// A server with protobuf payloads: bytes both ways, and the user data arrives.
func TestReplProtobuf(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			echoProtobuf(t, conn)
		}
	}()
	addr := l.Addr().String()
	p, code := run(t, "request a.b.c hex:0a 01 41\nrequest a.b.c base64:CgFB\nstatus", "repl", addr, "--user", `{"age":30}`)
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), strings.Repeat("hex:0a0141\n", 2))
	require.Contains(t, p.out.String(), "protoc --decode_raw")
	p, code = run(t, "request a.b.c hex:0a0141", "repl", addr, "--base64", "--user", `{"age":30}`)
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), "base64:CgFB\n")
	p, code = run(t, "request a.b.c {}", "repl", addr, "--user", `{"age":30}`)
	require.Equal(t, 1, code)
	require.Contains(t, p.err.String(), "serializer is protobuf")
}

func echoProtobuf(t *testing.T, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(long))
	hello, err := protocol.ReadPacket(conn, 4096)
	if !assert.NoError(t, err) {
		return
	}
	said, err := protocol.ParseHandshakeRequest(hello.Body)
	assert.NoError(t, err)
	assert.EqualValues(t, 30, said.User["age"])
	answer, _ := protocol.AppendPacket(nil, protocol.PacketHandshake, []byte(`{"code":200,"sys":{"serializer":"protobuf"}}`))
	_, _ = conn.Write(answer)
	for {
		packet, err := protocol.ReadPacket(conn, 4096)
		if err != nil {
			return
		}
		if packet.Type != protocol.PacketData {
			continue
		}
		m, err := protocol.DecodeMessage(packet.Body, protocol.Decoding{})
		assert.NoError(t, err)
		m.Type = protocol.MessageResponse
		out, _ := m.AppendPacketTo(nil, protocol.Encoding{})
		_, _ = conn.Write(out)
	}
}

func TestNothingWithoutInput(t *testing.T) {
	t.Parallel()
	p := command(t, "repl")
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	p.cmd.Stdin = null
	require.NoError(t, p.cmd.Start())
	require.Zero(t, p.wait())
	require.Empty(t, p.out.String()+p.err.String())
}
