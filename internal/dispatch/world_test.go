package dispatch

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/logger"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// world is a cluster on the in-memory bus: real dispatchers, RPC clients and
// servers, without sockets.
type world struct {
	t        *testing.T
	bus      *cluster.MemoryBus
	registry *cluster.MemoryRegistry
	log      logrus.FieldLogger
	limits   Limits
	metrics  *metrics.Metrics // of all servers; nil: none
	runs     int
	adapt    func(*cluster.Server) // nil: servers as start makes them
	register func(*component.Table) error
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, bus: cluster.NewMemoryBus(), registry: cluster.NewMemoryRegistry(), log: logger.Discard(),
		limits: Limits{Mailbox: 64, SessionWindow: 8, ServerWindow: 64, PitayaWindow: 48, Remotes: 64, Timeout: 500 * time.Millisecond},
	}
}

// node is one server of the world.
type node struct {
	w         *world
	self      *cluster.Server
	transport *cluster.MemoryTransport
	discovery *cluster.MemoryDiscovery
	d         *Dispatcher
	sequence  lifecycle.Sequence
	rec       *recorder
	once      sync.Once
	behind    atomic.Int64 // how much older than it is a request counts as, as after a standstill
}

// ServeRequest is the dispatcher's, and that of a server that stood still.
func (n *node) ServeRequest(in *cluster.Incoming) {
	in.Received = in.Received.Add(-time.Duration(n.behind.Load()))
	n.d.ServeRequest(in)
}

func (w *world) start(id, serverType string) *node {
	w.runs++
	self := &cluster.Server{
		ID: id, Type: serverType, Metadata: map[string]string{}, Frontend: serverType == "front",
		Nonce: fmt.Sprintf("%s-%d", id, w.runs), State: cluster.StateUp,
		Caps: []string{constants.CapOrder, constants.CapPush, constants.CapMerge, constants.CapCancel},
	}
	if w.adapt != nil {
		w.adapt(self)
	}
	n := &node{w: w, self: self, rec: &recorder{ran: make(map[playerKey][]uint32)}, transport: w.bus.Transport(self.Nonce)}
	table := component.NewTable()
	require.NoError(w.t, table.Register(n.rec, component.WithName("svc")))
	if w.register != nil {
		require.NoError(w.t, w.register(table))
	}
	var err error
	n.discovery, err = cluster.NewMemoryDiscovery(w.registry, self, w.log)
	require.NoError(w.t, err)
	routes := router.New()
	routes.Set("room", router.ToHandler, sticky())
	n.d = New(Params{
		Self: self, Router: routes, Table: table, Serializer: serializer.JSON(), Limits: w.limits, Log: w.log,
		Metrics: w.metrics, Pool: session.NewPool(session.PoolParams{}),
	})
	client := cluster.NewRPCClient(cluster.RPCClientParams{Self: self, Transport: n.transport, Prefix: "cereus/", Timeout: w.limits.Timeout})
	server := cluster.NewRPCServer(cluster.RPCServerParams{
		Self: self, Transport: n.transport, Prefix: "cereus/", Handler: n, Users: Users{D: n.d},
	})
	n.d.Join(n.discovery, client)
	n.sequence.Add(n.discovery, n.d, n.transport, client, server)
	require.NoError(w.t, n.sequence.Start(context.Background()))
	require.NoError(w.t, n.discovery.Register(context.Background()))
	w.t.Cleanup(func() { n.stop() })
	return n
}

// sticky keeps each session on the server it met as long as that is there.
func sticky() router.Func {
	var mu sync.Mutex
	met := make(map[int64]string)
	return func(_ context.Context, c router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range servers {
			if s.ID == met[c.SessionID] {
				return s, nil
			}
		}
		chosen := servers[int(c.SessionID)%len(servers)]
		met[c.SessionID] = chosen.ID
		return chosen, nil
	}
}

// stop is a graceful end: the others have noticed before calls are refused.
func (n *node) stop(others ...*node) {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var targets []*target
		for _, o := range others {
			targets = append(targets, o.d.target(n.self))
		}
		require.NoError(n.w.t, n.sequence.BeforeShutdown(ctx, n.discovery))
		for i, o := range others {
			require.NoError(n.w.t, o.discovery.SyncServers(ctx))
			o.settled(targets[i])
		}
		require.NoError(n.w.t, n.sequence.Shutdown(ctx))
	})
}

// kill is the end of a process: calls find nobody, and discovery learns of it
// when all calls before have found it out.
func (n *node) kill(others ...*node) {
	n.transport.Disconnect()
	for _, o := range others {
		o.d.passOver(o.d.target(n.self)) // as if somebody had called it
		o.settled(o.d.target(n.self))
	}
	n.stop(others...)
}

// settled waits until no forward to t is without an outcome.
func (n *node) settled(t *target) {
	require.Eventually(n.w.t, func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.inFlight == 0
	}, 20*time.Second, time.Millisecond)
}

// playerKey is one player of the whole world.
type playerKey struct {
	frontend string
	id       int64
}

// recorder is the component of every backend: it writes down what ran.
type recorder struct {
	mu    sync.Mutex
	ran   map[playerKey][]uint32 // the numbers in the order they ran
	block chan struct{}          // non-nil: handlers wait for it
}

func (r *recorder) Routes(routes *component.Routes) {
	component.HandleRaw(routes, "ask", r.ask)
	component.NotifyRaw(routes, "tell", func(ctx context.Context, b []byte) { _, _ = r.ask(ctx, b) })
}

func (r *recorder) ask(ctx context.Context, b []byte) ([]byte, error) {
	s, _ := session.FromContext(ctx)
	r.mu.Lock()
	key := playerKey{s.Frontend(), s.ID()}
	r.ran[key] = append(r.ran[key], binary.BigEndian.Uint32(b))
	block := r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	return b, nil
}

func (r *recorder) of(p *player) []uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]uint32(nil), r.ran[playerKey{p.s.Frontend(), p.s.ID()}]...)
}

// player is a client without a connection: it offers messages and keeps the answers.
type player struct {
	inbox   *Inbox
	s       *session.Session
	asked   map[uint32]bool // numbers sent as requests
	mu      sync.Mutex
	answers map[uint64][]*errs.Error // by id, nil for a reply
	behind  atomic.Bool
}

func (w *world) player(n *node) *player {
	p := &player{asked: make(map[uint32]bool), answers: make(map[uint64][]*errs.Error)}
	s, err := session.New(session.Params{ID: n.d.Pool.NextID(), Frontend: n.self.ID, Entity: nowhere{}})
	require.NoError(w.t, err)
	require.NoError(w.t, n.d.Pool.Add(s))
	p.s, p.inbox = s, n.d.NewInbox(s, p)
	return p
}

func (p *player) Respond(id uint64, _ []byte, failure *errs.Error, _ bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[id] = append(p.answers[id], failure)
}

func (p *player) Broken() bool { return false }
func (p *player) Behind() bool { return p.behind.Load() }

func (p *player) send(kind protocol.MessageType, number uint32) { p.sendTo("room.", kind, number) }

// sendTo also sends to the frontend itself, whose prefix is "".
func (p *player) sendTo(prefix string, kind protocol.MessageType, number uint32) {
	m := &protocol.Message{Type: kind, Route: prefix + "svc.tell", Data: binary.BigEndian.AppendUint32(nil, number)}
	if kind == protocol.MessageRequest {
		m.Route, m.ID = prefix+"svc.ask", uint64(number)
		p.asked[number] = true
	}
	p.inbox.Offer([]protocol.Message{*m})
}

// nowhere is the entity of sessions that only send.
type nowhere struct{}

func (nowhere) Push(context.Context, string, any) error                      { return nil }
func (nowhere) Bind(context.Context, *session.Session, string) error         { return nil }
func (nowhere) Save(context.Context, *session.Session, []byte, []byte) error { return nil }
func (nowhere) Kick(context.Context, *session.Session, string) error         { return nil }
func (nowhere) Close(string)                                                 {}
