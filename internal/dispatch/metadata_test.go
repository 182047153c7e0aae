package dispatch

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

func TestOtherMembersAreReadWhenAskedFor(t *testing.T) {
	t.Parallel()
	b := []byte(`{"mine":{"a":"}"},"peer.id":"a","request.id":"r1","req-start-time":1.5e18}`)
	m, err := parseMetadata(b)
	require.NoError(t, err)
	clear(b) // what was read does not depend on the buffer
	require.Equal(t, "r1", m.requestID)
	require.Equal(t, "1.5e18", m.startTime)
	require.Nil(t, m.others.all, "read before anybody asks")
	var asking sync.WaitGroup
	for range 4 { // a handler may ask from several goroutines
		asking.Go(func() {
			next := m.others.with("yours", json.RawMessage("1"))
			assert.Len(t, next.values(), 2)
			assert.Equal(t, map[string]json.RawMessage{"mine": json.RawMessage(`{"a":"}"}`)}, m.others.values())
		})
	}
	asking.Wait()
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

func TestScanSeconds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"5s", "0.001s", "4.985s", "12.5s", "999999999s", "1.23456789s", "00.5s"} {
		want, err := time.ParseDuration(text)
		require.NoError(t, err)
		got, ok := scanSeconds([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "s", "5", ".s", "5.s", ".5s", "0s", "0.0s", "-5s", "5ms", "1m5s", "1.2.3s", "1234567890s", "5s ", "5ss"} {
		_, ok := scanSeconds([]byte(text))
		require.False(t, ok, text)
	}
}
