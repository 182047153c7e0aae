package protocol_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
	"github.com/cereus-game/cereus/protocol"
)

// allocated is the number of bytes that fn takes from the heap altogether. Not
// for parallel tests.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestS02_LengthWithoutBody: the largest length in a header costs nothing.
func TestS02_LengthWithoutBody(t *testing.T) {
	header := []byte{byte(protocol.PacketData), 0xff, 0xff, 0xff}
	typ, n, err := protocol.ParseHeader(header)
	require.NoError(t, err)
	require.Equal(t, protocol.PacketData, typ)
	require.Equal(t, protocol.MaxPacketBody, n)

	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _, _ = protocol.ParseHeader(header)
		_, _ = protocol.DecodePackets(header)
	}))

	_, err = protocol.ReadPacket(bytes.NewReader(header), 64<<10)
	require.ErrorIs(t, err, protocol.ErrPacketTooLarge)
	used := allocated(func() { _, err = protocol.ReadPacket(bytes.NewReader(header), protocol.MaxPacketBody) })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, used, uint64(32<<10), "even without a limit memory follows what arrived")
}

// decodeAll gives the bytes to every decoder.
func decodeAll(b []byte, d *protocol.Dictionary) {
	_, _, _ = protocol.ParseHeader(b)
	packets, _ := protocol.DecodePackets(b)
	for _, p := range packets {
		_, _ = protocol.DecodeMessage(p.Body, protocol.Decoding{Dictionary: d})
	}
	_, _ = protocol.ReadPacket(bytes.NewReader(b), 1<<20)
	_, _ = protocol.DecodeMessage(b, protocol.Decoding{Dictionary: d})
	_, _ = protocol.ParseHandshakeRequest(b)
	_, _ = protocol.DecodeHandshakeResponse(b)
	_, _ = protocol.Inflate(b, protocol.InflateLimits{})
	_, _ = protocol.DecodeError("json", b)
	_, _ = protocol.DecodeError("protobuf", b)
}

// mutations calls visit with every truncation, every single bit flip and every
// first byte of b. The slice is only valid during the call.
func mutations(b []byte, visit func([]byte)) int {
	for n := range b {
		visit(b[:n:n])
	}
	changed := bytes.Clone(b)
	for bit := range 8 * len(b) {
		changed[bit/8] ^= 1 << (bit % 8)
		visit(changed)
		changed[bit/8] ^= 1 << (bit % 8)
	}
	if len(b) == 0 {
		return 0
	}
	for first := range 256 {
		changed[0] = byte(first)
		visit(changed)
	}
	return 9*len(b) + 256
}

// TestS03_TruncatedFlippedAndOddBytes: never a panic, whatever a valid packet
// or message is bent into.
func TestS03_TruncatedFlippedAndOddBytes(t *testing.T) {
	t.Parallel()
	d, err := protocol.NewDictionary(map[string]uint16{"connector.room.join": 1, "onMessage": 300})
	require.NoError(t, err)
	looked := 0
	for _, b := range validBytes(t) {
		looked += mutations(b, func(b []byte) { decodeAll(b, d) })
	}
	t.Logf("%d mutations", looked)
	require.Greater(t, looked, 100_000)
}

// validBytes are the packets of all client vectors, the messages in them, and
// the bare messages and bodies; each once.
func validBytes(t testing.TB) [][]byte {
	var all [][]byte
	seen := make(map[string]bool)
	add := func(b []byte) {
		if !seen[string(b)] {
			seen[string(b)] = true
			all = append(all, b)
		}
	}
	for _, v := range wirevectors.Load(t, "packet", "packet-decode", "handshake", "message", "message-decode", "zlib", "live-client", "protobuf") {
		b := v.Bytes(t)
		add(b)
		packets, _ := protocol.DecodePackets(b)
		for _, p := range packets {
			add(p.Body)
		}
	}
	return all
}

// TestS03_EveryFlagByte: each of the 256 flag bytes before a request's rest is
// either read or refused, as its bits say.
func TestS03_EveryFlagByte(t *testing.T) {
	t.Parallel()
	for flag := range 256 {
		got, err := protocol.DecodeMessage([]byte{byte(flag), 1, 'a', 'b'}, protocol.Decoding{})
		typ := protocol.MessageType(flag >> 1 & 7)
		switch {
		case !typ.Valid():
			require.ErrorIs(t, err, protocol.ErrMessageType)
		case flag&0x10 != 0 && typ == protocol.MessageResponse:
			require.Error(t, err, "ab is not zlib")
		case typ == protocol.MessageResponse:
			require.NoError(t, err)
			require.Equal(t, protocol.Message{Type: typ, ID: 1, Data: []byte("ab"), Err: flag&0x20 != 0}, got)
		case flag&0x01 != 0:
			require.ErrorIs(t, err, protocol.ErrUnknownRouteCode)
		case typ == protocol.MessageRequest:
			require.ErrorIs(t, err, protocol.ErrInvalidMessage, "route length 97")
		case flag&0x10 != 0:
			require.Error(t, err, "b is not zlib")
		default:
			require.NoError(t, err)
			require.Equal(t, protocol.Message{Type: typ, Route: "a", Data: []byte("b"), Err: flag&0x20 != 0}, got)
		}
	}
}

// bomb is a valid zlib stream of 100 MiB of zeros, about 100 KB long: one
// flushed MiB, a hundred times over, since deflating them all is slow.
func bomb(t testing.TB) []byte {
	const size = 1 << 20
	var block bytes.Buffer
	fw, err := flate.NewWriter(&block, flate.DefaultCompression)
	require.NoError(t, err)
	_, err = fw.Write(make([]byte, size))
	require.NoError(t, err)
	require.NoError(t, fw.Flush())

	out := []byte{0x78, 0x9c}
	for range 100 {
		out = append(out, block.Bytes()...)
	}
	out = append(out, 1, 0, 0, 0xff, 0xff)                          // the last block, empty
	return binary.BigEndian.AppendUint32(out, 100*size%65521<<16|1) // Adler-32 of zeros
}

// TestS05_ZipBomb: the limits hold while inflating, not after it.
func TestS05_ZipBomb(t *testing.T) {
	packed := bomb(t)
	message := append([]byte{0x12, 1, 'a'}, packed...)
	tests := []struct {
		name string
		run  func() error
	}{
		{"message", func() error {
			_, err := protocol.DecodeMessage(message, protocol.Decoding{})
			return err
		}},
		{"message without a ratio", func() error {
			_, err := protocol.DecodeMessage(message, protocol.Decoding{MaxRatio: -1})
			return err
		}},
		{"message cut short", func() error {
			_, err := protocol.DecodeMessage(message[:len(message)/2], protocol.Decoding{})
			return err
		}},
		{"handshake response", func() error {
			_, err := protocol.DecodeHandshakeResponse(packed)
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			used := allocated(func() { err = tt.run() })
			require.ErrorIs(t, err, protocol.ErrInflateLimit)
			require.Less(t, used, uint64(2<<20))
		})
	}
}

// TestS05_TruncatedZlib: a stream that ends too early is refused at any length.
func TestS05_TruncatedZlib(t *testing.T) {
	text := bytes.Repeat([]byte(`{"gold":123456789,"name":"bob"},`), 40)
	packed := protocol.Deflate(nil, text)
	for n := range packed {
		_, err := protocol.Inflate(packed[:n], protocol.InflateLimits{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
	got, err := protocol.Inflate(packed, protocol.InflateLimits{})
	require.NoError(t, err)
	require.Equal(t, text, got)

	changed := bytes.Clone(packed)
	changed[len(changed)-1] ^= 1
	_, err = protocol.Inflate(changed, protocol.InflateLimits{})
	require.ErrorIs(t, err, zlib.ErrChecksum)
}

// TestS05_LimitsToTheByte: what is exactly as large as allowed passes.
func TestS05_LimitsToTheByte(t *testing.T) {
	t.Parallel()
	random := make([]byte, 300_000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(random)
	zeros := make([]byte, 300_000)
	tests := []struct {
		name   string
		data   []byte
		limits protocol.InflateLimits
		ok     bool
	}{
		{"at the size", random, protocol.InflateLimits{MaxBytes: 300_000}, true},
		{"over the size", random, protocol.InflateLimits{MaxBytes: 299_999}, false},
		{"small bombs are normal text", zeros[:protocol.InflateFree], protocol.InflateLimits{}, true},
		{"over the free size by ratio", zeros[:protocol.InflateFree+1], protocol.InflateLimits{}, false},
		{"no ratio", zeros, protocol.InflateLimits{MaxRatio: -1}, true},
		{"other ratio", zeros, protocol.InflateLimits{MaxRatio: 2000}, true},
		{"size below the free one", zeros[:101], protocol.InflateLimits{MaxBytes: 100}, false},
		{"default size", make([]byte, protocol.DefaultMaxInflated), protocol.InflateLimits{MaxRatio: -1}, true},
		{"over the default size", make([]byte, protocol.DefaultMaxInflated+1), protocol.InflateLimits{MaxRatio: -1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.Inflate(protocol.Deflate(nil, tt.data), tt.limits)
			if !tt.ok {
				require.ErrorIs(t, err, protocol.ErrInflateLimit)
				return
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(tt.data, got))
		})
	}
}
