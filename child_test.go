package cereus_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/internal/childtest"
)

// childProgram is set in a process that is a server of a test rather than the
// tests; childConfig has the *config.Config of a server in a cluster, childID its
// id, and childLedger the folder for what it notes.
const (
	childProgram = "CEREUS_TEST_CHILD"
	childConfig  = "CEREUS_TEST_CONFIG"
	childID      = "CEREUS_TEST_ID"
	childLedger  = "CEREUS_TEST_LEDGER"
)

// child is a server in a process of its own.
type child struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *bufio.Reader
	addr string // of a frontend
}

// spawn runs a program of runChild and waits until its server is up.
func spawn(t testing.TB, program string, env ...string) *child {
	t.Helper()
	c := &child{t: t}
	c.cmd, c.out = childtest.Start(t, append(env, childProgram+"="+program)...)
	addr, up := strings.CutPrefix(c.line()+" ", "up ")
	require.True(t, up, addr)
	c.addr = strings.TrimSpace(addr)
	return c
}

func (c *child) line() string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimSpace(line)
}

// rest is everything that the child prints until it ends, and its exit code.
func (c *child) rest() (string, int) {
	c.t.Helper()
	all, err := io.ReadAll(c.out)
	require.NoError(c.t, err)
	_ = c.cmd.Wait() // the code says it all
	return string(all), c.cmd.ProcessState.ExitCode()
}

// kill ends the child with SIGKILL: it cannot say a word.
func (c *child) kill() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Kill())
	_ = c.cmd.Wait() // killed, as it was to be
}

func (w *world) spawn(program, id string, changes ...change) *child {
	w.t.Helper()
	c, err := json.Marshal(w.config(changes...))
	require.NoError(w.t, err)
	return spawn(w.t, program, childConfig+"="+string(c), childID+"="+id, childLedger+"="+w.ledger())
}

// runChild is the main of a child. It prints "up" and an address when its server
// is up, and the error of Run when that has one.
func runChild(program string) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // the tests are gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if program == "nats" {
		return runNATS(ctx)
	}
	app, err := childApp(program)
	if err == nil {
		err = app.Run(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// runNATS is a NATS server that can be stopped as a process can.
func runNATS(ctx context.Context) int {
	infra, err := embedded.Start(ctx, embedded.WithoutEtcd())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up " + infra.NATSURL())
	<-ctx.Done()
	_ = infra.Stop(context.Background())
	return 0
}

func childApp(program string) (*cereus.App, error) {
	announce, log := &announcer{}, logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(announce)
	opts := []cereus.Option{cereus.WithSignals(), cereus.WithLogger(log)}
	switch program {
	case "gate":
		opts = append(opts, cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	default: // a backend of the type
		c := config.Default()
		if err := json.Unmarshal([]byte(os.Getenv(childConfig)), c); err != nil {
			return nil, err
		}
		role := cereus.Backend(program)
		if program == "door" {
			opts, role = append(opts, cereus.WithTCP("127.0.0.1:0")), cereus.Frontend(program)
		}
		opts = append(opts, role, cereus.WithConfig(c), cereus.WithID(os.Getenv(childID)))
	}
	app, err := cereus.New(opts...)
	if err != nil {
		return nil, err
	}
	announce.app = app
	if err := app.Register(&hall{app: app}, component.WithName("hall")); err != nil {
		return nil, err
	}
	if err := app.Register(&stuck{}, component.WithName("stuck")); err != nil {
		return nil, err
	}
	if err := app.Register(unhurried{}, component.WithName("slow")); err != nil {
		return nil, err
	}
	if err := app.RegisterRemote(&table{app: app}, component.WithName("table")); err != nil {
		return nil, err
	}
	if dir := os.Getenv(childLedger); dir != "" {
		return app, registerVault(app, dir)
	}
	return app, nil
}

// unhurried takes its time for an answer.
type unhurried struct{}

func (unhurried) Routes(r *component.Routes) {
	component.HandleRaw(r, "answer", func(_ context.Context, b []byte) ([]byte, error) {
		<-time.After(300 * time.Millisecond)
		return b, nil
	})
}

// announcer tells the parent when the app is up: it hears the app's log.
type announcer struct{ app *cereus.App }

func (*announcer) Levels() []logrus.Level { return []logrus.Level{logrus.InfoLevel} }

func (a *announcer) Fire(e *logrus.Entry) error {
	if e.Message != "server is up" {
		return nil
	}
	address := ""
	if addrs := a.app.Addrs(); len(addrs) > 0 {
		address = addrs[0].String()
	}
	_, err := fmt.Println("up " + address)
	return err
}
