package cereus_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// vault serves calls that can be told apart: the payload is an id, and perhaps
// how long to work. Before anything else the id goes into the ledger, a file, so
// that what began is known also of a process that was killed.
type vault struct {
	app    *cereus.App
	ledger *os.File
}

// registerVault makes app serve the remotes and the handlers of a vault.
func registerVault(app *cereus.App, dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, app.Server().ID), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	v := &vault{app: app, ledger: file}
	return app.Register(v, component.WithName("vault"))
}

// Init, AfterInit, BeforeShutdown and Shutdown are there to close the file.
func (*vault) Init(context.Context) error       { return nil }
func (*vault) AfterInit(context.Context) error  { return nil }
func (*vault) BeforeShutdown(context.Context)   {}
func (v *vault) Shutdown(context.Context) error { return v.ledger.Close() }

func (v *vault) Routes(r *component.Routes) {
	component.HandleRaw(r, "run", v.run)
	component.RemoteRaw(r, "run", v.run)
	component.HandleRaw(r, "hang", v.hang, component.WithConcurrent())
	component.RemoteRaw(r, "hang", v.hang)
	component.RemoteRaw(r, "ping", v.ping)
}

// run answers with the id and the server's.
func (v *vault) run(ctx context.Context, body []byte) ([]byte, error) {
	id, work, _ := strings.Cut(string(body), " ")
	if _, err := v.ledger.WriteString(id + "\n"); err != nil {
		return nil, err
	}
	if d, err := time.ParseDuration(work); err == nil {
		if err := idle(ctx, d); err != nil {
			return nil, err
		}
	}
	return []byte(id + " " + v.app.Server().ID), nil
}

// hang works until nobody waits any more, on the server that is named after the
// id; others just answer.
func (v *vault) hang(ctx context.Context, body []byte) ([]byte, error) {
	id, server, _ := strings.Cut(string(body), " ")
	if server != v.app.Server().ID {
		return v.run(ctx, []byte(id))
	}
	if _, err := v.ledger.WriteString(id + "\n"); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (v *vault) ping(context.Context, []byte) ([]byte, error) { return []byte(v.app.Server().ID), nil }

// idle lets time pass.
func idle(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// vaults is the game of a server of the test's own process.
func (w *world) vaults(app *cereus.App) {
	w.t.Helper()
	require.NoError(w.t, registerVault(app, w.ledger()))
}

// ledger is the folder for the ledgers of this world.
func (w *world) ledger() string {
	if w.dir == "" {
		w.dir = w.t.TempDir()
	}
	return w.dir
}

// began tells how often each id began, on the servers with the given ids or on all.
func (w *world) began(servers ...string) map[string]int {
	w.t.Helper()
	if len(servers) == 0 {
		files, err := os.ReadDir(w.ledger())
		require.NoError(w.t, err)
		for _, f := range files {
			servers = append(servers, f.Name())
		}
	}
	ids := make(map[string]int)
	for _, s := range servers {
		all, err := os.ReadFile(filepath.Join(w.ledger(), s))
		require.NoError(w.t, err)
		for id := range strings.FieldsSeq(string(all)) {
			ids[id]++
		}
	}
	return ids
}

// starts waits until an id began on a server.
func (w *world) starts(server, id string) {
	w.t.Helper()
	until(w.t, id+" begins on "+server, func() bool { return w.began(server)[id] > 0 })
}

// reaches waits until a call of app to the vault with this id is answered.
func reaches(w *world, app *cereus.App, id string) {
	w.t.Helper()
	until(w.t, app.Server().ID+" reaches "+id, func() bool {
		var out []byte
		err := app.RPC(context.Background(), "vault.vault.ping", &out, nil, cereus.To(id), cereus.WithTimeout(time.Second))
		return err == nil && string(out) == id
	})
}

// lasting has registrations outlive what the test does to their servers.
func lasting(c *config.Config) { c.Cluster.SD.Etcd.Heartbeat.TTL = 2 * patience }

// patient is the deadline of calls that have no other.
func patient(d time.Duration) change {
	return func(c *config.Config) { c.Cluster.RPC.Client.NATS.RequestTimeout = d }
}

// lost reports whether err is how a call may end that may have run.
func lost(err error) bool {
	return errs.CodeOf(err) == errs.CodeTimeout || cluster.IsMaybe(err)
}

// local is what a frontend serves itself.
type local struct{}

func (local) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", func(ctx context.Context, body []byte) ([]byte, error) {
		if _, ok := session.FromContext(ctx); !ok {
			return nil, errNoSession
		}
		return body, nil
	})
}
