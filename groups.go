package cereus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// Groups are the app's groups, kept where the key groups.store says. In memory
// they can be used at once; in etcd and JetStream from the Init of the app's
// modules on, and group.ErrNotRunning is returned before.
func (a *App) Groups() *group.Groups {
	if a == nil {
		return nil
	}
	return a.groups
}

// GroupHolder is the frontend that a session is on, as group.HeldBy and
// group.UntilUnbind take it. group.ErrServerGone when it is not in the cluster.
func (a *App) GroupHolder(s *session.Session) (group.Holder, error) {
	if id := s.Frontend(); id != "" && id != a.self.ID {
		return a.groupHolder(id)
	}
	return holderOf(a.self), nil
}

func (a *App) groupHolder(id string) (group.Holder, error) {
	if a.discovery != nil {
		if s, ok := presentServer(a.discovery.Snapshot(), id); ok {
			return holderOf(s), nil
		}
	}
	return group.Holder{}, group.ErrServerGone.With("server", id)
}

func holderOf(s *cluster.Server) group.Holder { return group.Holder{Server: s.ID, Run: s.Nonce} }

// presentServer finds a server that is in the cluster now.
func presentServer(s *cluster.Snapshot, id string) (*cluster.Server, bool) {
	all := s.Servers()
	at, ok := slices.BinarySearchFunc(all, id, func(s *cluster.Server, id string) int { return strings.Compare(s.ID, id) })
	if !ok {
		return nil, false
	}
	return all[at], true
}

// makeGroups makes what Groups returns.
func (a *App) makeGroups() {
	opts := []group.Option{group.WithLogger(a.log)}
	if a.pool != nil {
		opts = append(opts, group.WithBound(func(uid string) bool {
			_, bound := a.pool.ByUID(uid)
			return bound
		}))
	}
	switch a.config.Groups.Store {
	case config.GroupsInEtcd:
		a.groups = group.NewLater(a.groupsInEtcd, opts...)
	case config.GroupsInJetStream:
		a.groups = group.NewLater(a.groupsInJetStream, opts...)
	default:
		a.groups = group.New(a.groupsInMemory(), opts...)
	}
	if a.pool != nil {
		a.pool.OnUnbind(func(_ context.Context, _ *session.Session, uid string) { a.groups.Unbound(uid) })
	}
}

func (a *App) groupsInMemory() group.Store {
	p := group.MemoryParams{Tick: a.config.Groups.Memory.TickDuration, Self: holderOf(a.self)}
	if a.discovery == nil {
		return group.NewMemoryStore(p)
	}
	p.Alive = func(h group.Holder) bool {
		s, ok := presentServer(a.discovery.Snapshot(), h.Server)
		return ok && s.Nonce == h.Run
	}
	store := group.NewMemoryStore(p)
	a.discovery.AddListener(goneServers{store: store, self: a.self.ID})
	return store
}

// goneServers tells groups in memory of servers that are gone.
type goneServers struct {
	store *group.MemoryStore
	self  string
}

func (goneServers) AddServer(cluster.Event) {}

// RemoveServer implements cluster.Listener. This server is there whatever the
// others see.
func (g goneServers) RemoveServer(e cluster.Event) {
	if e.Server.ID != g.self {
		g.store.ServerGone(holderOf(e.Server))
	}
}

func (a *App) groupsInEtcd(context.Context) (group.Store, func() error, error) {
	c := a.config.Groups.Etcd
	client, done, err := a.EtcdClient(c.EtcdConnection)
	if err != nil {
		return nil, nil, fmt.Errorf("keys groups.etcd: %w", err)
	}
	return group.NewEtcdStore(group.EtcdParams{
		Client: client, Prefix: c.Prefix, TransactionTimeout: c.TransactionTimeout,
		Self: holderOf(a.self), TTL: a.config.Cluster.SD.Etcd.Heartbeat.TTL, Log: a.log,
	}), done, nil
}

func (a *App) groupsInJetStream(context.Context) (group.Store, func() error, error) {
	c := a.config.Groups.JetStream
	p := a.natsParams("groups", a.config.Cluster.RPC.Client.NATS.NATSConnection)
	conn, err := nats.Connect(p.URL, append(p.Options, nats.Name(p.Name), nats.Timeout(p.DialTimeout), nats.RetryOnFailedConnect(true))...)
	if err != nil {
		return nil, nil, fmt.Errorf("key cluster.rpc.client.nats.connect, for groups.store jetstream: %w", err)
	}
	store := group.NewJetStreamStore(group.JetStreamParams{
		Conn: conn, Bucket: c.Bucket, Replicas: c.Replicas, Timeout: c.Timeout,
		Self: holderOf(a.self), TTL: a.config.Cluster.SD.Etcd.Heartbeat.TTL, Log: a.log,
	})
	return store, func() error { conn.Close(); return nil }, nil
}

// groupsModule has the start wait for the groups' store no longer than for the rest.
type groupsModule struct {
	*group.Groups
	app *App
}

func (m groupsModule) Init(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.app.config.Boot.Timeout, m.app.groupsLate())
	defer cancel()
	return m.Groups.Init(ctx)
}

// groupsLate says what was waited for in vain.
func (a *App) groupsLate() error {
	c := a.config
	switch c.Groups.Store {
	case config.GroupsInEtcd:
		return fmt.Errorf("the etcd of groups did not answer within boot.timeout (key groups.etcd.endpoints: %s)", strings.Join(c.Groups.Etcd.Endpoints, ", "))
	case config.GroupsInJetStream:
		return errors.New("the JetStream of groups did not answer within boot.timeout: NATS 2.11 or newer has to run with JetStream (key cluster.rpc.client.nats.connect)")
	}
	return nil // memory is always there
}
