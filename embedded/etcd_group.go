package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nuid"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

// Settings of etcd for development and tests. A node alone elects itself in
// 0.1 s instead of 1 s. Several are given more, so that a busy machine does not
// depose their leader, but not so much that the shortest lease is above 1 s
// (etcd: one and a half elections, rounded up). The database maps little memory.
const (
	loneTickMs      = 10
	loneElectionMs  = 100
	groupTickMs     = 50
	groupElectionMs = 500
	etcdQuota       = 512 << 20
	bcryptCost      = 4 // the least: a password is no secret here, and a login must not take a slow machine seconds
)

// etcdGroup is the etcd of a cluster: one node, or a Raft group of them.
type etcdGroup struct {
	settings settings
	dir      string // holds the data of all nodes
	token    string // keeps groups that meet on a port apart
	log      *zap.Logger
	nodes    []*etcdNode
	work     *lifecycle.Group
	turn     chan struct{} // holds one value while somebody starts or stops nodes
}

// newEtcdGroup gives a node alone the folder etcd, and n nodes a folder etcd-n
// with one for each: groups of different sizes cannot share data.
func newEtcdGroup(s settings, dir string, work *lifecycle.Group) *etcdGroup {
	g := &etcdGroup{
		settings: s, dir: filepath.Join(dir, "etcd"), token: nuid.Next(), log: newZapLogger(s.log),
		work: work, turn: make(chan struct{}, 1),
	}
	if s.etcdNodes == 1 {
		g.nodes = []*etcdNode{{name: "etcd", dir: g.dir}}
	} else {
		g.dir += "-" + strconv.Itoa(s.etcdNodes)
		for i := range s.etcdNodes {
			g.nodes = append(g.nodes, &etcdNode{name: "etcd-" + strconv.Itoa(i), dir: filepath.Join(g.dir, strconv.Itoa(i))})
		}
	}
	g.nodes[0].port, g.nodes[0].keepPort = s.etcdPort, s.etcdPort != 0
	return g
}

// begin waits for the caller's turn to start or stop nodes; end gives it back.
func (g *etcdGroup) begin(ctx context.Context) (end func(), err error) {
	end = func() { <-g.turn }
	select {
	case g.turn <- struct{}{}:
		return end, nil
	default:
	}
	select {
	case g.turn <- struct{}{}:
		return end, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("etcd is being started or stopped by another call: %w", context.Cause(ctx))
	}
}

// start starts those of nodes that do not run and waits until every node that
// runs is ready. Without a majority none can be: then it does not wait.
func (g *etcdGroup) start(ctx context.Context, nodes []*etcdNode) error {
	end, err := g.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := g.openFronts(); err != nil {
		return err
	}
	var started []*etcdNode
	for _, n := range nodes {
		if n.current() != nil {
			continue
		}
		err := bind("etcd", "embedded.WithEtcdPort", false, func() error { return g.launch(n) })
		if err != nil {
			haltAll(started)
			return err
		}
		started = append(started, n)
	}
	if err := g.awaitReady(ctx); err != nil {
		haltAll(started)
		return err
	}
	return nil
}

// launch binds the node's ports and lets its peers and clients in.
func (g *etcdGroup) launch(n *etcdNode) error {
	if err := n.pickPorts(); err != nil {
		return err
	}
	n.giveUpPort()
	clients, err := g.listenForClients(n)
	if err != nil {
		return n.explain(err)
	}
	if err := n.launch(g.config(n)); err != nil {
		if clients != nil {
			_ = clients.Close()
		}
		return n.explain(err)
	}
	n.keepPort = true
	if n.peers != nil {
		n.peers.lead(loopback.Address(n.peersPort))
	}
	if clients != nil {
		n.clients = newFront(clients, g.work)
		n.clients.lead(loopback.Address(n.clientsPort))
	}
	return nil
}

// listenForClients is nil without TLS. With it clients need a front: a gRPC
// server below an HTTP server ends calls, but cannot close connections.
func (g *etcdGroup) listenForClients(n *etcdNode) (net.Listener, error) {
	if g.settings.etcdTLS == nil {
		return nil, nil
	}
	var config net.ListenConfig
	return config.Listen(context.Background(), "tcp", loopback.Address(n.port))
}

func haltAll(nodes []*etcdNode) {
	for _, n := range nodes {
		if run := n.take(); run != nil {
			n.halt(run)
		}
	}
}

// awaitReady waits for all running nodes, if they are a majority, for a leader,
// and for the version of the cluster, which is the last that etcd writes unasked.
func (g *etcdGroup) awaitReady(ctx context.Context) error {
	runs := g.running()
	if len(runs) <= len(g.nodes)/2 {
		return nil
	}
	for _, run := range runs {
		if err := run.await(ctx); err != nil {
			return err
		}
	}
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for g.leader() < 0 || slices.ContainsFunc(runs, func(r *etcdRun) bool { return r.etcd.Server.ClusterVersion() == nil }) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("etcd agreed on no leader or version in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (g *etcdGroup) running() []*etcdRun {
	var runs []*etcdRun
	for _, n := range g.nodes {
		if run := n.current(); run != nil {
			runs = append(runs, run)
		}
	}
	return runs
}

// leader is the running node that leads in the highest term, or -1.
func (g *etcdGroup) leader() int {
	leader, highest := -1, uint64(0)
	for i, n := range g.nodes {
		run := n.current()
		if run == nil {
			continue
		}
		if term, ok := run.isLeader(); ok && term >= highest {
			leader, highest = i, term
		}
	}
	return leader
}

// stop halts nodes side by side.
func (g *etcdGroup) stop(ctx context.Context, nodes []*etcdNode) error {
	end, err := g.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	var halts []<-chan struct{}
	for _, n := range nodes {
		if run := n.take(); run != nil {
			halts = append(halts, background(g.work, "etcd", func() { n.halt(run) }))
		}
	}
	for _, done := range halts {
		if err := await(ctx, done, "etcd"); err != nil {
			return err
		}
	}
	return nil
}

// wipe removes the data of all nodes, which must be stopped. They keep their ports.
func (g *etcdGroup) wipe(ctx context.Context) error {
	end, err := g.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if len(g.running()) > 0 {
		return errors.New("etcd runs: stop it before its data is removed")
	}
	var faults []error
	for _, n := range g.nodes {
		faults = append(faults, os.RemoveAll(n.dir))
	}
	return errors.Join(faults...)
}

func (g *etcdGroup) endpoints() []string {
	out := make([]string, len(g.nodes))
	for i, n := range g.nodes {
		out[i] = n.address()
		if g.settings.etcdTLS != nil {
			out[i] = "https://" + out[i]
		}
	}
	return out
}

func (g *etcdGroup) config(n *etcdNode) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Dir = n.dir
	cfg.Name = n.name
	listen := url.URL{Scheme: "http", Host: loopback.Address(n.port)}
	advertise := listen
	if files := g.settings.etcdTLS; files != nil {
		listen = url.URL{Scheme: "https", Host: loopback.Address(n.clientsPort)}
		advertise.Scheme = "https"
		cfg.ClientTLSInfo = transport.TLSInfo{
			CertFile: files.Cert, KeyFile: files.Key, TrustedCAFile: files.CA, ClientCertAuth: true,
		}
	}
	cfg.ListenClientUrls = []url.URL{listen}
	cfg.AdvertiseClientUrls = []url.URL{advertise}
	g.configPeers(cfg, n)
	cfg.UnsafeNoFsync = !g.settings.durable
	cfg.QuotaBackendBytes = g.settings.etcdQuota
	if cfg.QuotaBackendBytes == 0 && !g.settings.durable {
		cfg.QuotaBackendBytes = etcdQuota
	}
	cfg.AuthTokenTTL = uint(g.settings.etcdTokenTTL / time.Second)
	cfg.BcryptCost = bcryptCost
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(g.log)
	return cfg
}

// configPeers tells a node of a group where the others are. A node alone talks
// to no peers, so it listens for none.
func (g *etcdGroup) configPeers(cfg *embed.Config, n *etcdNode) {
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{n.peerURL()}
	cfg.TickMs, cfg.ElectionMs = loneTickMs, loneElectionMs
	if n.peers != nil {
		cfg.ListenPeerUrls = []url.URL{{Scheme: "http", Host: loopback.Address(n.peersPort)}}
		cfg.TickMs, cfg.ElectionMs = groupTickMs, groupElectionMs
		cfg.InitialClusterToken = g.token
	}
	members := make([]string, len(g.nodes))
	for i, m := range g.nodes {
		at := m.peerURL()
		members[i] = m.name + "=" + at.String()
	}
	cfg.InitialCluster = strings.Join(members, ",")
}
