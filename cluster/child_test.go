package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/childtest"
)

// childEnv is set in a process that is a server of a test rather than the
// tests, and has its childParams.
const childEnv = "CEREUSTEST_CHILD"

// childParams says what server a child registers, and where.
type childParams struct {
	ID       string
	Endpoint string
	TTL      time.Duration
}

// child is a registered server in a process of its own.
type child struct {
	cmd  *exec.Cmd
	said string // its log, from Warn up, until it was registered
}

// spawn starts a child and waits until it is registered. It is killed when the
// test ends.
func spawn(t testing.TB, p childParams) *child {
	t.Helper()
	params, err := json.Marshal(p)
	require.NoError(t, err)
	cmd, out := childtest.Start(t, childEnv+"="+string(params))
	c := &child{cmd: cmd}
	for {
		line, err := out.ReadString('\n')
		require.NoError(t, err, "%s%s", c.said, line)
		if line == "registered\n" {
			return c
		}
		c.said += line
	}
}

// kill ends the child with SIGKILL: it cannot say a word.
func (c *child) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
}

// runChild is the main of a child. It ends when the tests do.
func runChild(params string) int {
	d, err := registeredChild(params)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("registered")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := d.Shutdown(context.Background()); err != nil {
		return 1
	}
	return 0
}

func registeredChild(params string) (*EtcdDiscovery, error) {
	var p childParams
	if err := json.Unmarshal([]byte(params), &p); err != nil {
		return nil, err
	}
	e := etcdParams(backend(p.ID), p.Endpoint)
	e.TTL, e.Log = p.TTL, childLog()
	d, err := NewEtcdDiscovery(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.Init(ctx); err != nil {
		return nil, err
	}
	return d, d.Register(ctx)
}

// childLog tells the parent what is wrong.
func childLog() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(os.Stdout)
	log.SetLevel(logrus.WarnLevel)
	return log
}
