package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
)

// stuck pushes to a client that does not read more than its socket takes, and
// waits until the rest of that is all that the writer has.
func (r *rig) stuck(a *Agent) {
	r.t.Helper()
	const size = 12 << 20
	require.NoError(r.t, a.Push(context.Background(), "fill", make([]byte, size)))
	require.Eventually(r.t, func() bool {
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		return a.out.bytes > 0 && a.out.bytes < size // the first try is over
	}, patience, tick)
}

func prepared(t testing.TB, priority dispatch.Priority, key, data string) dispatch.Packet {
	t.Helper()
	return dispatch.Packet{
		Bytes:    encodedMessage(t, protocol.Message{Type: protocol.MessagePush, Route: key, Data: []byte(data)}),
		Priority: priority, Key: key,
	}
}

// rest reads what comes after the push of stuck.
func rest(t testing.TB, in io.Reader, n int) []string {
	t.Helper()
	r := bufio.NewReader(in)
	var all []string
	first, err := readPacket(r)
	require.NoError(t, err)
	require.Greater(t, len(first.body), 12<<20, "it passed what was queued before")
	for len(all) < n {
		p, err := readPacket(r)
		require.NoError(t, err)
		m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
		require.NoError(t, err)
		all = append(all, m.Route+"="+string(m.Data))
	}
	return all
}

func TestLatestReplacesWhatIsUnsent(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.QueueMessages, p.QueueBytes, p.WriteTimeout = 1000, 64<<20, time.Hour
	})
	nc, s := r.joined()
	a := s.Entity().(*Agent)
	require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Latest, "x", "first")))
	p, err := readPacket(nc) // to a client that reads it is a push as any
	require.NoError(t, err)
	require.Contains(t, string(p.body), "first")
	r.stuck(a)
	for n := range 5000 { // many more than the queue takes
		want := dispatch.Replaced
		if n < 2 {
			want = dispatch.Queued
		}
		require.Equal(t, want, a.WritePacket(prepared(t, dispatch.Latest, string(rune('x'+n%2)), fmt.Sprint(n))))
		if n%1000 == 0 {
			require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Must, "m", fmt.Sprint(n))))
		}
	}
	require.Equal(t,
		[]string{"m=0", "m=1000", "m=2000", "m=3000", "m=4000", "x=4998", "y=4999"}, rest(t, nc, 7))
	require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Latest, "x", "again")))
	p, err = readPacket(nc)
	require.NoError(t, err)
	require.Contains(t, string(p.body), "again")
	require.NoError(t, s.Context().Err())
	s.Close(protocol.ReasonKicked)
	require.Equal(t, dispatch.Gone, a.WritePacket(prepared(t, dispatch.Latest, "x", "after")))
	require.Equal(t, dispatch.Gone, a.WritePacket(prepared(t, dispatch.Droppable, "x", "after")))
}

// The last value of each key is written before a kick, after which clients read no more.
func TestAKickDoesNotPassTheLatest(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueBytes, p.WriteTimeout = 64<<20, time.Hour })
	nc, s := r.joined()
	a := s.Entity().(*Agent)
	r.stuck(a)
	require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Latest, "score", "7")))
	require.NoError(t, s.Kick(t.Context(), "over"))
	in := bufio.NewReader(nc)
	_, err := readPacket(in)
	require.NoError(t, err)
	p, err := readPacket(in)
	require.NoError(t, err)
	require.Equal(t, protocol.PacketData, p.kind)
	require.Contains(t, string(p.body), "score")
	p, err = readPacket(in)
	require.NoError(t, err)
	require.Equal(t, protocol.PacketKick, p.kind)
}

// TestS11_KeysAreBounded: each key counts in the queue, and so does a newer value
// that is larger.
func TestS11_KeysAreBounded(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(n int) (key string, size int){
		"keys":   func(n int) (string, int) { return fmt.Sprint(n), 10 },
		"values": func(n int) (string, int) { return fmt.Sprint(n % 2), n << 17 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
				p.QueueMessages, p.QueueBytes, p.WriteTimeout = 300, 14<<20, time.Hour
			})
			_, s := r.joined()
			a := s.Entity().(*Agent)
			r.stuck(a)
			for n := 0; ; n++ {
				key, size := next(n)
				if a.WritePacket(prepared(t, dispatch.Latest, key, string(make([]byte, size)))) == dispatch.Gone {
					break
				}
				a.out.mu.Lock()
				frames, bytes := a.out.pendingLocked()
				a.out.mu.Unlock()
				require.LessOrEqual(t, frames, 300)
				require.Less(t, bytes-size, 14<<20+100) // beside the last, whose key and head count, too
			}
			require.Equal(t, protocol.ReasonSlow, closed(t, s))
		})
	}
}

// A message that is larger than all that may wait counts for nothing behind it.
func TestALargeMessageLeavesRoomForEveryPriority(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueBytes, p.WriteTimeout = 64<<10, time.Hour })
	nc, s := r.joined()
	a := s.Entity().(*Agent)
	r.stuck(a)
	require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Latest, "k", "9")))
	require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Droppable, "d", "1")))
	require.Equal(t, dispatch.Replaced, a.WritePacket(prepared(t, dispatch.Latest, "k", "10")))
	require.Equal(t, []string{"d=1", "k=10"}, rest(t, nc, 2))
	require.NoError(t, s.Context().Err())
}

func TestDroppableIsDroppedAboveHalf(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*HostParams){
		"messages": func(p *HostParams) { p.QueueMessages, p.QueueBytes = 400, 64<<20 },
		"bytes":    func(p *HostParams) { p.QueueMessages, p.QueueBytes = 1000, 26<<20 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), change, func(p *HostParams) { p.WriteTimeout = time.Hour })
			nc, s := r.joined()
			a := s.Entity().(*Agent)
			require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Droppable, "d", "early")))
			_, err := readPacket(nc)
			require.NoError(t, err)
			r.stuck(a)
			want, must := []string{}, 0
			for { // the writer holds less than half: as many fit as the half has room for
				fate := a.WritePacket(prepared(t, dispatch.Droppable, "d", string(make([]byte, 32<<10))))
				if fate == dispatch.Dropped {
					break
				}
				require.Equal(t, dispatch.Queued, fate)
				want = append(want, "d="+string(make([]byte, 32<<10)))
				require.Less(t, len(want), 400)
			}
			for range 50 {
				require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Must, "m", fmt.Sprint(must))))
				want = append(want, fmt.Sprint("m=", must))
				must++
				require.Equal(t, dispatch.Dropped, a.WritePacket(prepared(t, dispatch.Droppable, "d", string(make([]byte, 32<<10)))))
			}
			require.Equal(t, want, rest(t, nc, len(want)))
			require.NoError(t, s.Context().Err())
		})
	}
}
