package dispatch

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(strings.Repeat("~ ", rapid.IntRange(0, 12).Draw(t, "length")))
		if len(b) > 0 {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[at] = rapid.Byte().Draw(t, "byte")
		}
		want := !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r >= 0x80 || r == '\\' })
		require.Equal(t, want, plain(b))
	})
}

func TestMetadataTravels(t *testing.T) {
	t.Parallel()
	sent := metadata{requestID: "id-1", startTime: "1790000000000000001"}
	b := sent.appendTo(nil, hop{peerID: "a", peerType: "connector", route: "room.lobby.join", timeout: 1500 * time.Millisecond})
	got, err := parseMetadata(b)
	require.NoError(t, err)
	clear(b) // what was read does not depend on the buffer
	require.Equal(t, metadata{requestID: "id-1", startTime: "1790000000000000001", timeout: 1500 * time.Millisecond, hops: 1}, got)
}

func TestMetadataOfOddShapes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"request.id":"x\u0041"}`, `{ "request.id" : "xA" }`, `{"request.id":"xA","more":{"a":1}}`,
	} {
		got, err := parseMetadata([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, "xA", got.requestID, text)
	}
	for _, text := range []string{`{"request.id":"x`, `{"request.id"`, "{\"req-id\":\"\x01\"}", `[]`, `{"request.id":"x"}}`} {
		_, err := parseMetadata([]byte(text))
		require.Error(t, err, text)
	}
}
