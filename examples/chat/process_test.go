package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
)

const patience = 30 * time.Second

// process is the program running as a process of its own.
type process struct {
	cmd     *exec.Cmd
	exited  chan struct{}
	drained chan struct{} // closed when all its output was read
	state   error         // of Wait; read after exited

	mu    sync.Mutex // guards lines
	lines []string
}

// launch starts the program and waits until its servers are up. It is killed
// when the test ends, if it still runs.
func launch(t *testing.T, mode string, args ...string) *process {
	t.Helper()
	p := &process{exited: make(chan struct{}), drained: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), childEnv+"="+mode)
	output, in, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = in, in
	require.NoError(t, p.cmd.Start())
	require.NoError(t, in.Close())
	up := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { p.read(output, up) })
	reading.Go(func() { p.state = p.cmd.Wait(); close(p.exited) })
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		reading.Wait()
		if t.Failed() {
			t.Logf("output of %v:\n%s", args, strings.Join(p.output(), "\n"))
		}
	})
	select {
	case <-up:
	case <-p.exited:
		require.FailNow(t, "it ended", "%v: %v\n%s", args, p.state, strings.Join(p.output(), "\n"))
	case <-time.After(patience):
		require.FailNow(t, "not up in time", "%v\n%s", args, strings.Join(p.output(), "\n"))
	}
	return p
}

func (p *process) read(output io.ReadCloser, up chan<- struct{}) {
	defer close(p.drained)
	defer func() { _ = output.Close() }()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.mu.Unlock()
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			close(up)
		}
	}
}

func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// find returns what the groups of pattern matched in the output, line by line.
func (p *process) find(pattern string) [][]string {
	return regexp.MustCompile(pattern).FindAllStringSubmatch(strings.Join(p.output(), "\n"), -1)
}

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) } // it may be gone

// end waits until the process is gone and returns its exit code, -1 after a
// signal that it did not handle.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.FailNow(t, "it does not end", strings.Join(p.output(), "\n"))
		return 0
	}
}

// frontend is a server of type connector.
type frontend struct{ page, ws, tcp string }

func frontends(t *testing.T, p *process) []frontend {
	t.Helper()
	var all []frontend
	for _, m := range p.find(`open (http://\S+) +\((ws://[^,]+), (tcp://[^)]+)\)`) {
		all = append(all, frontend{page: m[1], ws: m[2], tcp: m[3]})
	}
	require.NotEmpty(t, all)
	return all
}

// cluster is two frontends and two backends, each a process of its own.
type cluster struct {
	fronts []frontend
	doors  []*process // of the frontends
	rooms  []*process
	nats   string
}

func startCluster(t *testing.T, mode string) *cluster {
	t.Helper()
	infra, err := embedded.Start(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	where := []string{"-etcd", infra.EtcdEndpoints()[0], "-nats", infra.NATSURL()}
	c := &cluster{nats: infra.NATSURL()}
	for _, id := range []string{"room-1", "room-2"} {
		c.rooms = append(c.rooms, launch(t, mode, append(where, "-server", id)...))
	}
	for _, id := range []string{"connector-1", "connector-2"} {
		free := []string{"-page", "127.0.0.1:0", "-ws", "127.0.0.1:0", "-tcp", "127.0.0.1:0"}
		door := launch(t, mode, append(append(where, free...), "-server", id)...)
		c.doors, c.fronts = append(c.doors, door), append(c.fronts, frontends(t, door)...)
	}
	return c
}
