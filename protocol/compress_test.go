package protocol_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestDeflateAppends(t *testing.T) {
	t.Parallel()
	got := protocol.Deflate([]byte("before"), []byte("hello"))
	require.Equal(t, "before", string(got[:6]))
	inflated, err := protocol.Inflate(got[6:], protocol.InflateLimits{})
	require.NoError(t, err)
	require.Equal(t, "hello", string(inflated))
}

func TestInflateIgnoresWhatFollows(t *testing.T) {
	t.Parallel()
	got, err := protocol.Inflate(append(protocol.Deflate(nil, []byte("hello")), "rest"...), protocol.InflateLimits{})
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

// Pooled readers and writers must carry nothing from one use to the next, also
// after failures.
func TestPooledCodecsDoNotMix(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 50 {
				text := bytes.Repeat(fmt.Appendf(nil, "%d-%d ", worker, i), i*10+1)
				packed := protocol.Deflate(nil, text)
				_, err := protocol.Inflate(packed[:len(packed)/2], protocol.InflateLimits{})
				if err == nil {
					t.Error("half a stream inflated")
				}
				got, err := protocol.Inflate(packed, protocol.InflateLimits{MaxRatio: -1})
				if err != nil || !bytes.Equal(text, got) {
					t.Errorf("worker %d, round %d: %v", worker, i, err)
				}
			}
		})
	}
	all.Wait()
}

// An inflated payload belongs to the caller: the next use of the pool must not
// write into it.
func TestInflatedPayloadStays(t *testing.T) {
	first, err := protocol.Inflate(protocol.Deflate(nil, bytes.Repeat([]byte("a"), 500)), protocol.InflateLimits{})
	require.NoError(t, err)
	for range 10 {
		_, err = protocol.Inflate(protocol.Deflate(nil, bytes.Repeat([]byte("b"), 500)), protocol.InflateLimits{})
		require.NoError(t, err)
	}
	require.Equal(t, bytes.Repeat([]byte("a"), 500), first)
}
