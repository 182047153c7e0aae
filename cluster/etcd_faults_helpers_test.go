package cluster

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/cereus-game/cereus/internal/loopback"
)

// longRows reports whether the long forms of the rows are asked for.
func longRows() bool { return os.Getenv("CEREUSTEST_ROWS") == "long" }

// calls is a gRPC stats.Handler that counts what goes out, by method. Every
// attempt counts, also those that a client makes by itself.
type calls struct {
	before func(method string) // may be nil

	mu    sync.Mutex // guards count
	count map[string]int
}

func (c *calls) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	method := path.Base(info.FullMethodName)
	if c.before != nil {
		c.before(method)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[method]++
	return ctx
}

func (*calls) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*calls) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*calls) HandleConn(context.Context, stats.ConnStats)                       {}

func (c *calls) soFar() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.count)
}

// during waits and counts the calls of each method meanwhile.
func (c *calls) during(t testing.TB, d time.Duration) map[string]int {
	t.Helper()
	before := c.soFar()
	require.False(t, pauseIsCut(t, d))
	after := c.soFar()
	for method, n := range before {
		if after[method] -= n; after[method] == 0 {
			delete(after, method)
		}
	}
	return after
}

func sum(count map[string]int) int {
	total := 0
	for _, n := range count {
		total += n
	}
	return total
}

// watchedClient is a client as discovery makes one, whose calls are counted.
func watchedClient(t testing.TB, endpoint string, who login, c *calls) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, Username: who.user, Password: who.password,
		DialTimeout: patience, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{grpc.WithStatsHandler(c)},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := client.Close(); !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	})
	return client
}

// login is a user of etcd; the zero login is nobody.
type login struct{ user, password string }

// startEtcdWith is startEtcd with settings that package embedded does not have.
func startEtcdWith(t testing.TB, change func(*embed.Config)) string {
	t.Helper()
	address := url.URL{Scheme: "http", Host: loopback.Address(0)} // the system's choice: one that was free a moment ago may be taken
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = t.TempDir(), "test"
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{address}, []url.URL{address}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs, cfg.UnsafeNoFsync, cfg.EnableGRPCGateway = 10, 100, true, false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	change(cfg)
	e, err := embed.StartEtcd(cfg)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(patience):
		require.Fail(t, "etcd is not ready")
	}
	return e.Clients[0].Addr().String()
}

// checkHistory returns what is wrong with what a recorder heard: everybody
// joins before leaving, in turns, and final is who is there at the end.
func checkHistory(heard []string, final []string) []string {
	var faults []string
	present := map[string]bool{}
	for _, event := range heard {
		words := strings.Fields(event)
		what, id := words[0], words[1]
		if joins := what == "add"; joins == present[id] {
			faults = append(faults, event+", but before that it was otherwise")
		}
		present[id] = what != "remove"
	}
	for _, id := range final {
		if !present[id] {
			faults = append(faults, id+" is there, and nobody heard that it came")
		}
		delete(present, id)
	}
	for id, is := range present {
		if is {
			faults = append(faults, id+" is not there, and nobody heard that it went")
		}
	}
	return faults
}
