package repl

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                "",
		`{"a":"hex:1"}`:   `{"a":"hex:1"}`,
		"hex:0a 0B":       "\x0a\x0b",
		"base64:CgFB":     "\x0a\x01A",
		"text: as it is ": " as it is ",
		"null":            "null",
	} {
		data, err := payload(text, "json")
		require.NoError(t, err, text)
		require.Equal(t, want, string(data))
	}
	for _, text := range []string{"hello", "hex:1", "base64:%", "{"} {
		_, err := payload(text, "json")
		require.ErrorContains(t, err, "the payload is not", text)
	}
	_, err := payload("{}", "protobuf")
	require.ErrorContains(t, err, "hex:")
}

func TestShowIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, encode := range []bool{false, true} {
		s := newSession(Params{Base64: encode}, &plain{})
		for _, data := range []string{`{"a":[1,2]}`, "\x00\xff", "plain"} {
			again, err := payload(s.show([]byte(data), compact), "json")
			require.NoError(t, err)
			require.Equal(t, data, string(again))
		}
		require.Equal(t, "(empty)", s.show(nil, pretty))
		require.Equal(t, "\"\uFFFD[31m\"", s.show([]byte("\"\u009b[31m\""), pretty), "a server cannot steer the terminal")
		s.close()
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	s := newSession(Params{}, &plain{})
	defer s.close()
	for _, route := range []string{"b.c", "a.b", "b.c"} {
		s.routes.add(route)
	}
	s.unseen = []string{"onX", "onX"}
	require.Equal(t, commandNames(), s.candidates(""))
	require.Equal(t, commandNames(), s.candidates("re"))
	require.Equal(t, []string{"a.b", "b.c"}, s.candidates("request "))
	require.Equal(t, []string{"a.b", "b.c"}, s.candidates("notify a"))
	require.Equal(t, []string{"onX"}, s.candidates("wait "))
	require.Empty(t, s.candidates("request a.b "))
	require.Empty(t, s.candidates("connect "))
}

func TestParseWait(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		route string
		d     time.Duration
	}{"": {"", waitFor}, "onX": {"onX", waitFor}, "2s": {"", 2 * time.Second}, "onX 10ms": {"onX", 10 * time.Millisecond}} {
		route, d, err := parseWait(text)
		require.NoError(t, err)
		require.Equal(t, want.route, route)
		require.Equal(t, want.d, d)
	}
	_, _, err := parseWait("a b c")
	require.ErrorContains(t, err, "usage")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "new", "history")
	h := openHistory(file)
	for i := range maxHistory + 5 {
		_, err := h.Write(fmt.Sprint("request a.b.c ", i))
		require.NoError(t, err)
	}
	_, err := h.Write("  ")
	require.NoError(t, err)
	h = openHistory(file)
	require.Equal(t, maxHistory, h.Len())
	line, err := h.GetLine(0)
	require.NoError(t, err)
	require.Equal(t, "request a.b.c 5", line)
	_, err = h.GetLine(maxHistory)
	require.Error(t, err)
	require.Equal(t, "a.b.c", h.routes()[0])
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	memory := openHistory("")
	n, err := memory.Write("x")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestScriptLines(t *testing.T) {
	t.Parallel()
	lines, stop := readLines(strings.NewReader("a\n\n # no\n b "))
	defer stop()
	require.Equal(t, scriptLine{text: "a", number: 1}, <-lines)
	require.Equal(t, scriptLine{text: "b", number: 4}, <-lines)
	_, more := <-lines
	require.False(t, more)
}

// A server chooses the name of its serializer, its routes and those of pushes.
func TestServersCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J"
	dictionary, err := protocol.NewDictionary(map[string]uint16{evil: 1, "a.b.c": 2})
	require.NoError(t, err)
	addr := handshaking(t, &protocol.HandshakeResponse{
		Code: protocol.HandshakeOK, Dictionary: dictionary, Heartbeat: time.Minute, Serializer: evil,
	})
	var out strings.Builder
	s := newSession(Params{Timeout: 10 * time.Second}, remarks{&out})
	defer s.close()
	require.NoError(t, s.connect(t.Context(), addr))
	s.pushed(evil, nil)
	require.NoError(t, s.status())
	require.NotContains(t, out.String(), "\x1b")
	require.Equal(t, []string{"a.b.c"}, s.candidates("request "))
	require.Empty(t, s.candidates("wait "))
}

// remarks is a console that keeps what it is told by one goroutine.
type remarks struct{ out *strings.Builder }

func (r remarks) say(text string)    { r.out.WriteString(text) }
func (r remarks) remark(text string) { r.out.WriteString(text) }
func (r remarks) complain(string)    {}

// handshaking is a server that answers one handshake and nothing else.
func handshaking(t *testing.T, r *protocol.HandshakeResponse) string {
	t.Helper()
	body, err := protocol.AppendHandshakeResponse(nil, r, 0)
	require.NoError(t, err)
	answer, err := protocol.AppendPacket(nil, protocol.PacketHandshake, body)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if _, err := protocol.ReadPacket(conn, 1<<16); err != nil {
			return
		}
		_, _ = conn.Write(answer)
		_, _ = io.Copy(io.Discard, conn) // until the client goes
	}()
	return listener.Addr().String()
}
