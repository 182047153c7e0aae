//go:build unix

package acceptor

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/cereus-game/cereus/protocol"
)

// TestS20_OutOfDescriptors runs a server with few file descriptors in a
// process of its own. It must survive running out and then serve again.
func TestS20_OutOfDescriptors(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=server")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var address string
	_, err = fmt.Fscanln(stdout, &address)
	require.NoError(t, err)

	var conns []net.Conn
	for range 100 {
		conns = append(conns, dialTCP(t, address))
	}
	var failed string
	_, err = fmt.Fscanln(stdout, &failed)
	require.NoError(t, err)
	require.Equal(t, "failed", failed)
	for _, nc := range conns {
		require.NoError(t, nc.Close())
	}
	nc := dialTCP(t, address)
	_, err = nc.Write(packetOf(t, protocol.PacketHeartbeat, nil))
	require.NoError(t, err)
	_, err = nc.Read(make([]byte, 4))
	require.NoError(t, err)
	require.NoError(t, nc.Close())
	require.NoError(t, stdin.Close())
	require.NoError(t, child.Wait())
}

// runServer is the server: it prints its address, and a line when it fails to
// accept, and ends with its input.
func runServer() int {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 40, Max: 40}); err != nil {
		return 2
	}
	a := NewTCP("127.0.0.1:0", WithMetrics(&announce{}))
	if err := a.Listen(context.Background()); err != nil {
		return 3
	}
	fmt.Println(a.Addr())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = a.Close()
	}()
	if err := a.Serve(echo(make(chan error, 1000))); err != nil {
		return 4
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Wait(ctx); err != nil {
		return 5
	}
	return 0
}

// announce prints the first failure to accept.
type announce struct {
	tally
	said bool
}

func (m *announce) AcceptFailed() {
	if !m.said {
		fmt.Println("failed")
	}
	m.said = true
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var b backoff
	var waits []time.Duration
	for range 10 {
		b = b.next()
		waits = append(waits, time.Duration(b))
	}
	require.Equal(t, 5*time.Millisecond, waits[0])
	require.Equal(t, 10*time.Millisecond, waits[1])
	require.Equal(t, time.Second, waits[9])
}
