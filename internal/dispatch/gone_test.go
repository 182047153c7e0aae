package dispatch

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
)

// probed counts the probes that a dispatcher sends.
type probed struct {
	Client
	n, now, most atomic.Int64 // all, those under way, and the most of these
}

func (p *probed) Call(ctx context.Context, to *cluster.Server, req *clusterpb.Request) (*clusterpb.Response, error) {
	if strings.HasSuffix(req.GetMsg().GetRoute(), routeProbe) {
		p.n.Add(1)
		p.most.Store(max(p.most.Load(), p.now.Add(1)))
		defer p.now.Add(-1)
	}
	return p.Client.Call(ctx, to, req)
}

func (n *node) countProbes() *probed {
	p := &probed{Client: n.d.client}
	n.d.client = p
	return p
}

// loyal servers tell their load: who finds nobody there suspects them until they
// are heard of.
func loyal(s *cluster.Server) { s.Caps = append(s.Caps, constants.CapLoad) }

// frontAndRoom are a world of two, in a bubble of synctest, and the probes that the
// front sends.
func frontAndRoom(t *testing.T, adapt func(*cluster.Server)) (w *world, front, room *node, probes *probed) {
	t.Helper()
	w = newWorld(t)
	w.adapt = adapt
	w.withGame()
	front = w.start("front-1", "front")
	probes = front.countProbes()
	room = w.start("room-1", "room")
	synctest.Wait()
	return w, front, room, probes
}

// missed finds nobody at o.
func (n *node) missed(t *testing.T, o *node) {
	t.Helper()
	_, err := n.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", ServerID: o.self.ID})
	require.True(t, cluster.IsGone(err), "%v", err)
	require.Empty(t, n.offered("room"))
}

// N07: a server that nobody was found at, because it was later than its caller to
// be back on NATS, is chosen again soon after it is there. It need not be heard of.
func TestN07_AServerIsBackOnNATS(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{gonePause / 2, goneCheck, 20 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, front, room, _ := frontAndRoom(t, loyal)
				room.transport.Disconnect()
				front.missed(t, room)
				require.True(t, wait(t.Context(), away))
				require.Empty(t, front.offered("room"))
				room.transport.Reconnect()
				require.True(t, wait(t.Context(), gonePauseMax+10*time.Millisecond))
				require.Equal(t, []string{"room-1"}, front.offered("room"))
				_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
				require.NoError(t, err)
			})
		})
	}
}

// N01: a server that crashed stays in discovery until its lease ends. It is not
// chosen, and it costs a goroutine and a probe now and then, however many calls
// find nobody. Servers that tell no load are nobody's suspects for long otherwise.
func TestN01_ACrashedServerThatIsStillListed(t *testing.T) {
	t.Parallel()
	for name, adapt := range map[string]func(*cluster.Server){"tells its load": loyal, "tells none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { crashedAndListed(t, adapt) })
		})
	}
}

func crashedAndListed(t *testing.T, adapt func(*cluster.Server)) {
	const ttl = time.Minute
	w, front, room, probes := frontAndRoom(t, adapt)
	quiet := front.d.group.Running()
	room.transport.Disconnect()
	const every = 37 * time.Millisecond // never with a probe: what is under way then is given up
	for range ttl / every {
		front.missed(t, room)
		require.True(t, wait(t.Context(), every))
		require.Empty(t, front.offered("room"))
		require.LessOrEqual(t, front.d.group.Running(), quiet+1)
	}
	require.LessOrEqual(t, probes.n.Load(), int64(ttl/gonePauseMax)+3)
	require.EqualValues(t, 1, probes.most.Load())
	w.registry.Crash("room", "room-1")
	require.True(t, wait(t.Context(), 2*gonePauseMax))
	require.Equal(t, quiet, front.d.group.Running())
}

// Nobody calls: the crashed one stays out by the probes alone.
func TestN01_ACrashedServerThatNobodyCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, front, room, _ := frontAndRoom(t, nil)
		room.transport.Disconnect()
		front.missed(t, room)
		for range 2000 {
			require.True(t, wait(t.Context(), 10*time.Millisecond))
			require.Empty(t, front.offered("room"))
		}
	})
}

// Another run that answers for the id is not the server that was missed.
func TestN01_ASuccessorIsNotTheServerThatWasMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, front, room, probes := frontAndRoom(t, loyal)
		quiet := front.d.group.Running()
		room.transport.Disconnect()
		front.missed(t, room)
		w.registry = cluster.NewMemoryRegistry() // the id is not free in the other one
		w.start("room-1", "room")
		require.True(t, wait(t.Context(), time.Minute))
		require.EqualValues(t, 1, probes.n.Load())
		require.Equal(t, quiet, front.d.group.Running())
		require.Empty(t, front.offered("room"))
	})
}

// A server that hangs, and then is gone, is asked by one and not by two.
func TestN21_AHungServerThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, front, room, probes := frontAndRoom(t, loyal)
		w.hang(room)
		front.timesOut(t, room)
		room.transport.Disconnect()
		require.True(t, wait(t.Context(), time.Minute))
		require.EqualValues(t, 1, probes.most.Load())
		w.bus.SetFaults(nil)
		room.transport.Reconnect()
		require.True(t, wait(t.Context(), gonePauseMax+10*time.Millisecond))
		require.False(t, front.isHung(room))
		require.Equal(t, []string{"room-1"}, front.offered("room"))
	})
}
