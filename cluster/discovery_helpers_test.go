package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/embedded"
)

// patience is how long a condition may take on a slow machine before a test fails.
const patience = 20 * time.Second

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

func startEtcd(t testing.TB) *embedded.Cluster {
	t.Helper()
	c, err := embedded.Start(testContext(t), embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

// rawClient is what an operator or another program uses.
func rawClient(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := c.Close(); !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	})
	return c
}

func etcdParams(self *Server, endpoint string) EtcdParams {
	return EtcdParams{
		Self:        self,
		Log:         testLog(),
		Endpoints:   []string{endpoint},
		Prefix:      "t/",
		TTL:         2 * time.Second,
		BootTimeout: patience,
	}
}

// testLog is silent unless DISCOVERY_LOG is set.
func testLog() logrus.FieldLogger {
	if os.Getenv("DISCOVERY_LOG") == "" {
		return nil
	}
	log := logrus.New()
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.StampMicro})
	log.SetLevel(logrus.DebugLevel)
	return log
}

// newEtcd starts a discovery that ends with the test.
func newEtcd(t testing.TB, p EtcdParams) *EtcdDiscovery {
	t.Helper()
	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	require.NoError(t, d.Init(testContext(t)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d.Deregister(ctx) //nolint:errcheck // etcd may be gone on purpose
		require.NoError(t, d.Shutdown(ctx))
	})
	return d
}

func register(t testing.TB, d interface {
	Register(ctx context.Context) error
}) {
	t.Helper()
	require.NoError(t, d.Register(testContext(t)))
}

// crash ends a discovery as SIGKILL does: nothing is said, the lease stays.
func crash(t testing.TB, d *EtcdDiscovery) {
	t.Helper()
	run := d.link.Swap(nil)
	require.NoError(t, run.group.Stop(testContext(t)))
	require.NoError(t, run.store.close())
}

func backend(id string) *Server {
	return &Server{ID: id, Type: "room", Metadata: map[string]string{"stack": "blue"}, Hostname: "host"}
}

func ids(servers []*Server) []string {
	list := []string{}
	for _, s := range servers {
		list = append(list, s.ID)
	}
	return list
}

func sees(d ServiceDiscovery, want ...string) func() bool {
	return func() bool { return slices.Equal(ids(d.Servers()), want) }
}

// recorder is a Listener that writes down what it hears.
type recorder struct {
	mu    sync.Mutex // guards heard
	heard []string
}

func (r *recorder) notef(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf(format, args...))
}

func (r *recorder) AddServer(e Event)    { r.notef("add %s", e.Server.ID) }
func (r *recorder) RemoveServer(e Event) { r.notef("remove %s %s", e.Server.ID, e.Server.State) }
func (r *recorder) UpdateServer(e Event) {
	r.notef("update %s %s>%s", e.Server.ID, e.Before.Metadata["stack"], e.Server.Metadata["stack"])
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard)
}

func (r *recorder) hears(want ...string) func() bool {
	return func() bool { return slices.Equal(r.events(), want) }
}

// counters is a DiscoveryMetrics.
type counters struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

func (c *counters) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[name]++
}

func (c *counters) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[name]
}

func (c *counters) ServersPresent(int)     { c.add("snapshots") }
func (c *counters) EntrySkipped()          { c.add("skipped") }
func (c *counters) Relisted(reason string) { c.add("relisted"); c.add(reason) }
func (c *counters) LeaseLost()             { c.add("lost") }
func (c *counters) ListenerPanicked()      { c.add("panics") }
