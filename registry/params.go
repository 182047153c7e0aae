package registry

import (
	"crypto/tls"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster"
)

// Params is what New needs: a Client or Endpoints. Zero durations mean the
// Default... constants of package cluster.
type Params struct {
	// Log gets what happens; nil discards it.
	Log logrus.FieldLogger

	// Client is used instead of one of our own and is not closed; what follows about
	// the connection then does not count.
	Client *clientv3.Client
	// Clients shares the client with others that have an equal
	// cluster.EtcdConnection; in an app it is App.EtcdClients. Nil means a client of
	// our own. Unlike a Client it is made to dial again when nobody answers.
	Clients     *cluster.EtcdClients
	Endpoints   []string // as in cluster.EtcdConnection, like the next four
	Username    string
	Password    string
	TLS         *tls.Config
	TLSFiles    cluster.TLSFiles
	DialTimeout time.Duration // of one attempt to connect

	// Namespace stands verbatim before every key; no slash is added. To see the game
	// servers of a cluster use its etcd prefix; empty means cluster.DefaultEtcdPrefix.
	Namespace string
	// ServicesOnly leaves the game servers out, and the watch of them.
	ServicesOnly bool

	TTL           time.Duration // of the leases, in whole seconds, at least 1 s
	BootTimeout   time.Duration // until Init, and Register while etcd is away, give up; DialTimeout when zero
	GrantTimeout  time.Duration // of one attempt to register
	RevokeTimeout time.Duration // for leaving
	SyncInterval  time.Duration // between comparisons of what is known with etcd

	// MaxRetries bounds how often an instance whose lease was lost is registered
	// again, RetryInterval apart, before Lost is told; 0 means for ever, with pauses
	// that grow to seconds.
	MaxRetries    int
	RetryInterval time.Duration // at least; a fifth more at most

	// Lost is told of an instance that is registered no more and will not be again:
	// its lease was lost, and another process took its id (cluster.ErrIDTaken), or
	// MaxRetries were in vain.
	// Deregister it, here or elsewhere, before registering it under another id. It runs
	// on a goroutine of its own, which Shutdown waits for: it must not call Shutdown.
	Lost func(name, id string, err error)
}

// String shows where etcd is and as whom it is asked, never the password.
func (p Params) String() string { return p.discovery("", nil).String() }

// GoString is String.
func (p Params) GoString() string { return p.String() }

// discovery is the parameters of the discovery that follows a folder.
func (p Params) discovery(folder cluster.Folder, clients *cluster.EtcdClients) cluster.EtcdParams {
	onLoss := cluster.PolicyContinue
	if p.MaxRetries != 0 {
		onLoss = cluster.PolicyExit // which ends an instance, not the process
	}
	return cluster.EtcdParams{
		Log: p.Log, Folder: folder, Prefix: p.Namespace,
		Client: p.Client, Clients: clients, Endpoints: p.Endpoints, Username: p.Username, Password: p.Password,
		TLS: p.TLS, TLSFiles: p.TLSFiles,
		DialTimeout: p.DialTimeout, BootTimeout: p.BootTimeout, TTL: p.TTL,
		GrantTimeout: p.GrantTimeout, RevokeTimeout: p.RevokeTimeout, SyncInterval: p.SyncInterval,
		OnLoss: onLoss, GrantMaxRetries: p.MaxRetries, GrantRetryInterval: p.RetryInterval,
	}
}
