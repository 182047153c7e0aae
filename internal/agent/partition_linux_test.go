package agent

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// far is a network namespace behind a cable that can be cut.
type far struct {
	t           *testing.T
	space       string
	cable       string
	here, there string // the addresses of its ends
}

func newFar(t *testing.T) *far {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	pid := os.Getpid() // other tests may do the same, each in one /30 of what is for benchmarks of networks
	network := fmt.Sprintf("198.18.%d.", pid>>6%256)
	f := &far{
		t: t, space: fmt.Sprint("cereus-", pid), cable: fmt.Sprint("cer", pid),
		here: fmt.Sprint(network, pid%64*4+1), there: fmt.Sprint(network, pid%64*4+2),
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", f.space).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v %s", err, out)
	}
	t.Cleanup(func() {
		_ = exec.Command("ip", "link", "del", f.cable).Run() // its sockets would keep it
		_ = exec.Command("ip", "netns", "del", f.space).Run()
	})
	f.ip("link add " + f.cable + " type veth peer name far netns " + f.space)
	f.ip("addr add " + f.here + "/30 dev " + f.cable)
	f.ip("link set " + f.cable + " up")
	f.ip("-n " + f.space + " addr add " + f.there + "/30 dev far")
	f.ip("-n " + f.space + " link set far up")
	return f
}

func (f *far) ip(command string) {
	f.t.Helper()
	out, err := exec.CommandContext(f.t.Context(), "ip", strings.Fields(command)...).CombinedOutput()
	require.NoError(f.t, err, "ip %s: %s", command, out)
}

// dial connects from there.
func (f *far) dial(address string) net.Conn {
	f.t.Helper()
	var nc net.Conn
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		fd, err := unix.Open("/var/run/netns/"+f.space, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			nc, err = net.DialTimeout("tcp4", address, patience)
		}
		failed <- err
	}()
	require.NoError(f.t, <-failed)
	return nc
}

// cut has every packet go to a card that is not there: no FIN, no RST, and
// nothing that tells either side.
func (f *far) cut() {
	f.t.Helper()
	const nobody = " lladdr 02:00:00:00:00:01 nud permanent dev "
	f.ip("neigh replace " + f.there + nobody + f.cable)
	f.ip("-n " + f.space + " neigh replace " + f.here + nobody + "far")
}

// TestS18_Partition: packets vanish in both directions while a request is
// served. The connection ends after two heartbeats, within three, and its
// handler is told.
func TestS18_Partition(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	f := newFar(t)
	r := newRig(t, acceptor.NewTCP(f.here+":0"), func(p *HostParams) { p.Heartbeat = interval })
	c := newClient(t, f.dial(r.acc.Addr().String()))
	c.handshake()
	s := r.session()
	c.works(1)
	c.request(2, "svc.block", "x")
	require.Eventually(t, func() bool { return r.game.blocked.Load() == 1 }, patience, tick)
	gone := time.Now()
	f.cut()
	require.NoError(t, s.Push(t.Context(), "onX", []byte("nobody hears it")))
	require.Equal(t, protocol.ReasonTimeout, closed(t, s))
	took := time.Since(gone)
	require.Greater(t, took, 2*interval-interval/2, "the request was the last sign of life")
	require.Less(t, took, 3*interval+5*time.Second, "a slow machine may be late, but not by much")
	require.Eventually(t, func() bool { return r.d.InFlight() == 0 && r.host.Pool.Count() == 0 }, patience, tick)
}
