package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

const (
	rpcPatience = 15 * time.Second
	rpcPoll     = 2 * time.Millisecond
)

// rpcWorld makes transports that reach each other.
type rpcWorld func(t testing.TB, name string) Transport

// initModule starts m and has the test stop it.
func initModule(t testing.TB, m lifecycle.Module) {
	t.Helper()
	require.NoError(t, m.Init(t.Context()))
	t.Cleanup(func() { shutdownModule(t, m) })
}

func shutdownModule(t testing.TB, m lifecycle.Module) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rpcPatience)
	defer cancel()
	require.NoError(t, m.Shutdown(ctx))
}

func memoryRPCWorld(testing.TB) rpcWorld {
	bus := NewMemoryBus()
	return func(t testing.TB, name string) Transport {
		transport := bus.Transport(name)
		initModule(t, transport)
		return transport
	}
}

func natsRPCWorld(t testing.TB) rpcWorld {
	nodes := startNATS(t)
	return func(t testing.TB, name string) Transport { return natsTransport(t, nodes.NATSURL(), name, nil) }
}

func startNATS(t testing.TB, opts ...embedded.Option) *embedded.Cluster {
	t.Helper()
	nodes, err := embedded.Start(t.Context(), append([]embedded.Option{embedded.WithoutEtcd()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), rpcPatience)
		defer cancel()
		require.NoError(t, nodes.Stop(ctx))
	})
	return nodes
}

func natsTransport(t testing.TB, url, name string, metrics RPCMetrics) *NATSTransport {
	t.Helper()
	transport, err := NewNATSTransport(NATSParams{URL: url, Name: name, Metrics: metrics})
	require.NoError(t, err)
	initModule(t, transport)
	return transport
}

// eachRPCWorld runs test over memory and over NATS.
func eachRPCWorld(t *testing.T, test func(t *testing.T, join rpcWorld)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, memoryRPCWorld(t))
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		test(t, natsRPCWorld(t))
	})
}

func backendServer(id string) *Server {
	return &Server{ID: id, Type: "room", Nonce: "n-" + id, Caps: []string{constants.CapBundle}}
}

func frontendServer(id string) *Server {
	return &Server{ID: id, Type: "connector", Frontend: true, Nonce: "n-" + id}
}

func newTestClient(t testing.TB, transport Transport, timeout time.Duration) *RPCClient {
	t.Helper()
	client := NewRPCClient(RPCClientParams{
		Self: frontendServer("front-1"), Transport: transport, Prefix: "pitaya/", Timeout: timeout,
	})
	initModule(t, client)
	return client
}

// serveFunc is a RequestHandler.
type serveFunc func(in *Incoming)

func (f serveFunc) ServeRequest(in *Incoming) { f(in) }

func echo(in *Incoming) { in.Reply(&clusterpb.Response{Data: in.Request.Msg.Data}) }

func newTestServer(t testing.TB, transport Transport, self *Server, handler serveFunc) *RPCServer {
	t.Helper()
	server := NewRPCServer(RPCServerParams{Self: self, Transport: transport, Prefix: "pitaya/", Handler: handler})
	initModule(t, server)
	return server
}

// recordedUsers is a UserHandler that remembers.
type recordedUsers struct {
	mu     sync.Mutex // guards what follows
	pushes []*clusterpb.Push
	kicks  []string
	binds  []*clusterpb.BindMsg
}

func (r *recordedUsers) HandlePush(push *clusterpb.Push) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushes = append(r.pushes, push)
}

func (r *recordedUsers) HandleKick(kick *clusterpb.KickMsg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kicks = append(r.kicks, kick.GetUids()...)
}

func (r *recordedUsers) HandleBind(bind *clusterpb.BindMsg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.binds = append(r.binds, bind)
}

func (r *recordedUsers) counts() (pushes, kicks, binds int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pushes), len(r.kicks), len(r.binds)
}

func newFrontend(t testing.TB, transport Transport, id string, users UserHandler) *RPCServer {
	t.Helper()
	server := NewRPCServer(RPCServerParams{
		Self: frontendServer(id), Transport: transport, Prefix: "pitaya/", Handler: serveFunc(echo), Users: users,
	})
	initModule(t, server)
	return server
}

// countedEvents is an RPCMetrics that remembers.
type countedEvents struct {
	mu sync.Mutex // guards n
	n  map[RPCEvent]int
}

func (c *countedEvents) CountRPC(e RPCEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[RPCEvent]int)
	}
	c.n[e]++
}

func (c *countedEvents) of(e RPCEvent) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[e]
}

func userRequest(route string, data []byte) *clusterpb.Request {
	return &clusterpb.Request{
		Type:     clusterpb.RPCType_User,
		Msg:      &clusterpb.Msg{Route: route, Data: data},
		Metadata: []byte(`{"peer.id":"front-1","peer.service":"connector"}`),
	}
}
