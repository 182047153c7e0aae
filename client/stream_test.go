package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// bytesConn is a connection that yields the bytes of a reader.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func FuzzStream(f *testing.F) {
	f.Add([]byte{1, 0, 0, 2, '{', '}', 3, 0, 0, 0}, false)
	f.Add([]byte{4, 0, 0, 5, 6, 1, 'a', 'x', 'y', 5, 0, 0, 0, 9}, true)
	f.Add([]byte{4, 255, 255, 255, 0}, false)
	f.Add(append([]byte{4, 0, 0x50, 0}, make([]byte, 0x5000)...), true)
	f.Fuzz(func(t *testing.T, data []byte, slow bool) {
		const limit = 1 << 16
		var r io.Reader = bytes.NewReader(data)
		if slow {
			r = iotest.OneByteReader(r)
		}
		s := newStream(bytesConn{Reader: r}, nil, limit)
		same := bytes.NewReader(data)
		for {
			want, wantErr := protocol.ReadPacket(same, limit)
			kind, body, err := s.next()
			if wantErr != nil {
				require.Error(t, err)
				require.Equal(t, wantErr == io.EOF, err == io.EOF)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want.Type, kind)
			require.True(t, bytes.Equal(want.Body, body))
			require.LessOrEqual(t, len(s.buf), 2*limit)
		}
	})
}

func TestStreamGrowsOnlyAsBytesCome(t *testing.T) {
	t.Parallel()
	announced := append([]byte{4, 0xff, 0xff, 0xff}, make([]byte, 20<<10)...)
	s := newStream(bytesConn{Reader: bytes.NewReader(announced)}, nil, DefaultMaxPacket)
	_, _, err := s.next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, len(s.buf), 64<<10)
}

func TestStreamShrinksAfterALongPacket(t *testing.T) {
	t.Parallel()
	long, err := protocol.AppendPacket(nil, protocol.PacketData, make([]byte, 1<<20))
	require.NoError(t, err)
	s := newStream(bytesConn{Reader: io.MultiReader(bytes.NewReader(long), bytes.NewReader([]byte{3, 0, 0, 0}))}, nil, DefaultMaxPacket)
	_, body, err := s.next()
	require.NoError(t, err)
	require.Len(t, body, 1<<20)
	kind, _, err := s.next()
	require.NoError(t, err)
	require.Equal(t, protocol.PacketHeartbeat, kind)
	require.Len(t, s.buf, readBuffer)
}

func TestStreamPassesErrorsOn(t *testing.T) {
	t.Parallel()
	s := newStream(bytesConn{Reader: iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader([]byte{1, 2})))}, nil, 10)
	_, _, err := s.next()
	require.True(t, errors.Is(err, iotest.ErrTimeout))
}

// A kick that lies in the socket is reported although a write fails first.
func TestKickBeatsAFailedWrite(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	kicked := make(chan struct{})
	tr := &deafTransport{stream: newStream(near, near, 100), kicked: kicked}
	c := start(tr, newSettings(nil), &opening{response: &protocol.HandshakeResponse{Code: 200}})
	defer c.Close()
	require.NoError(t, c.NotifyRaw(t.Context(), "a", nil))
	<-kicked
	_, err := far.Write([]byte{5, 0, 0, 0})
	require.NoError(t, err)
	require.NoError(t, far.Close())
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
	}
	var reason *CloseError
	require.ErrorAs(t, c.Err(), &reason)
	require.Equal(t, ReasonKicked, reason.Reason)
}

// deafTransport fails every write.
type deafTransport struct {
	*stream
	kicked chan struct{}
}

func (d *deafTransport) write([]byte) error {
	close(d.kicked)
	return io.ErrClosedPipe
}
