package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/constants"
)

// Defaults of EtcdParams, those of Pitaya (wire.md section 14) where it has the key.
const (
	DefaultEtcdPrefix         = "cereus/"
	DefaultDialTimeout        = 5 * time.Second
	DefaultTTL                = 60 * time.Second
	DefaultSyncInterval       = 120 * time.Second
	DefaultSyncParallelism    = 10
	DefaultRevokeTimeout      = 5 * time.Second
	DefaultGrantTimeout       = 60 * time.Second
	DefaultGrantMaxRetries    = 15
	DefaultGrantRetryInterval = 5 * time.Second
	DefaultSuspectFor         = 60 * time.Second
)

// EtcdParams is what NewEtcdDiscovery needs. Zero durations and numbers mean
// the Default... constant, except ShutdownDelay, where zero is zero.
type EtcdParams struct {
	// Self is this server. A nil Self only observes and cannot Register. An empty
	// Nonce is filled in; every run of a process has its own.
	Self *Server
	// Log gets what happens; nil discards it.
	Log logrus.FieldLogger
	// Die is told why this server cannot go on: PolicyExit ran out of retries, or
	// ErrIDTaken. It must not block; nil only logs.
	Die func(error)
	// Metrics may be nil.
	Metrics DiscoveryMetrics

	// Client is used instead of one of our own and is not closed; Clients, Endpoints,
	// Username, Password, TLS, TLSFiles and DialTimeout are then not used to connect.
	Client *clientv3.Client
	// Clients shares the client with others that have an equal EtcdConnection; nil
	// means a client of its own.
	Clients   *EtcdClients
	Endpoints []string // as in EtcdConnection, like the next four
	Username  string
	Password  string
	TLS       *tls.Config
	TLSFiles  TLSFiles
	// Prefix stands verbatim before "servers/"; no slash is added. Empty means DefaultEtcdPrefix.
	Prefix      string
	Folder      Folder        // FolderServers when empty; another has no Self
	DialTimeout time.Duration // of one attempt to connect
	BootTimeout time.Duration // until Init gives up; DialTimeout when zero

	TTL          time.Duration // of the lease, in whole seconds, at least 1 s
	HeartbeatLog bool          // log every renewal of the lease at debug level
	OnLoss       Policy

	SyncInterval time.Duration // between comparisons of the view with etcd
	// SyncParallelism is how many pages of a listing (of about 1 MiB, and at most
	// 1,000 servers) are read ahead while earlier ones are decoded; negative is refused.
	SyncParallelism int

	RevokeTimeout      time.Duration // for leaving: say so and give the lease back
	GrantTimeout       time.Duration // of one attempt to get a lease
	GrantMaxRetries    int           // under PolicyExit, before Die
	GrantRetryInterval time.Duration // under PolicyExit, between attempts
	ShutdownDelay      time.Duration // after leaving, for the others to notice

	TypesBlacklist []string // server types to ignore, this server's own key aside
	// Filter reports whether to see a server; nil sees all, and this server is always
	// seen. It is called for every value read, and must be quick. A server that it
	// begins to hide is told as gone.
	Filter     func(*Server) bool
	Health     Health        // what this server needs to stay in the list
	SuspectFor time.Duration // how long Server(id) answers for a server that is gone

	// sealed is the connection, out of the reach of package fmt; set by NewEtcdDiscovery.
	sealed func() EtcdConnection
}

// String shows where etcd is and as whom it is asked, never the password.
func (p EtcdParams) String() string { return p.connection().String() + ", prefix " + p.Prefix }

// GoString is String.
func (p EtcdParams) GoString() string { return p.String() }

// seal puts the password where nobody prints it who prints what has the
// parameters: fmt calls no method of an unexported field.
func (p EtcdParams) seal() EtcdParams {
	conn := p.connection()
	p.sealed, p.Password = func() EtcdConnection { return conn }, ""
	return p
}

func (p EtcdParams) withDefaults() EtcdParams {
	p.Log = orDiscard(p.Log)
	if p.Die == nil {
		p.Die = func(error) {}
	}
	if p.Metrics == nil {
		p.Metrics = noDiscoveryMetrics{}
	}
	if p.Clients == nil {
		p.Clients = new(EtcdClients)
	}
	p.Prefix = cmp.Or(p.Prefix, DefaultEtcdPrefix)
	p.Folder = cmp.Or(p.Folder, FolderServers)
	p.DialTimeout = cmp.Or(p.DialTimeout, DefaultDialTimeout)
	p.BootTimeout = cmp.Or(p.BootTimeout, p.DialTimeout)
	p.TTL = cmp.Or(p.TTL, DefaultTTL)
	p.OnLoss = cmp.Or(p.OnLoss, PolicyContinue)
	p.SyncInterval = cmp.Or(p.SyncInterval, DefaultSyncInterval)
	p.SyncParallelism = cmp.Or(p.SyncParallelism, DefaultSyncParallelism)
	p.RevokeTimeout = cmp.Or(p.RevokeTimeout, DefaultRevokeTimeout)
	p.GrantTimeout = cmp.Or(p.GrantTimeout, DefaultGrantTimeout)
	p.GrantMaxRetries = cmp.Or(p.GrantMaxRetries, DefaultGrantMaxRetries)
	p.GrantRetryInterval = cmp.Or(p.GrantRetryInterval, DefaultGrantRetryInterval)
	p.SuspectFor = cmp.Or(p.SuspectFor, DefaultSuspectFor)
	p.Health = p.Health.withDefaults()
	if p.Self != nil {
		p.Self = prepareSelf(p.Self)
		if !p.Self.Has(constants.CapLeader) {
			p.Self.Caps = append(p.Self.Caps, constants.CapLeader)
		}
	}
	return p
}

func (p EtcdParams) validate() error {
	faults := []error{p.Health.validate(), p.Folder.validate(p.Self)}
	if p.Self != nil {
		faults = append(faults, p.Self.validate())
	}
	if p.Client == nil {
		faults = append(faults, p.connection().validate())
	}
	if p.TTL < time.Second || p.TTL%time.Second != 0 {
		faults = append(faults, fmt.Errorf("etcd lease ttl %v: use whole seconds, at least 1s", p.TTL))
	}
	switch p.OnLoss {
	case PolicyContinue, PolicyFence, PolicyExit:
	default:
		faults = append(faults, fmt.Errorf("etcd onloss %q: use continue, fence or exit", p.OnLoss))
	}
	for name, d := range p.durations() {
		if d < 0 {
			faults = append(faults, fmt.Errorf("etcd %s %v: must not be negative", name, d))
		}
	}
	if p.GrantMaxRetries < 0 || p.SyncParallelism < 0 {
		faults = append(faults, errors.New("etcd grant retries and sync parallelism: must not be negative"))
	}
	return errors.Join(faults...)
}

// connection is how to reach etcd without a Client.
func (p EtcdParams) connection() EtcdConnection {
	if p.sealed != nil {
		return p.sealed()
	}
	return EtcdConnection{
		Endpoints: p.Endpoints, Username: p.Username, Password: p.Password,
		TLS: p.TLS, TLSFiles: p.TLSFiles, DialTimeout: p.DialTimeout,
	}
}

func (p EtcdParams) durations() map[string]time.Duration {
	return map[string]time.Duration{
		"boot timeout": p.BootTimeout, "sync interval": p.SyncInterval,
		"revoke timeout": p.RevokeTimeout, "grant timeout": p.GrantTimeout, "grant retry interval": p.GrantRetryInterval,
		"shutdown delay": p.ShutdownDelay, "suspect time": p.SuspectFor,
	}
}

// prepareSelf is a copy of what the app says this server is, with a nonce.
func prepareSelf(self *Server) *Server {
	self = self.clone()
	self.State = self.state()
	self.Epoch, self.Revision, self.gone = 0, 0, false
	if self.Nonce == "" {
		self.Nonce = rand.Text()
	}
	return self
}

func orDiscard(log logrus.FieldLogger) logrus.FieldLogger {
	if log != nil {
		return log
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	return silent
}

// pause waits for d or until ctx ends, and reports whether it waited in full.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var errObserver = errors.New("this service discovery only observes: it was made without a server of its own")
