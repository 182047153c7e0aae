package cereus

import (
	"reflect"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
)

// EtcdClient returns an etcd client for a module, for groups for example:
//
//	client, done, err := app.EtcdClient(cfg.Groups.Etcd.EtcdConnection)
//
// Within the app all users of equal settings have one client, service discovery
// included, and with it one connection to each endpoint. done gives it back, once,
// when the user is done with it; the client itself must not be closed. With
// WithEtcdClient, settings equal to cluster.sd.etcd are that client. It may be
// called at any time, also when standalone. The first call with a user and
// password waits for etcd, at most the dial timeout.
func (a *App) EtcdClient(c config.EtcdConnection) (*clientv3.Client, func() error, error) {
	if a.opts.etcd != nil && reflect.DeepEqual(c, a.config.Cluster.SD.Etcd.EtcdConnection) {
		return a.opts.etcd, func() error { return nil }, nil
	}
	return a.etcd.Open(etcdConnection(c))
}

// EtcdClients is what the app shares its etcd clients with, for a module that
// takes one, such as registry.Params. A module whose connection settings
// equal cluster.sd.etcd then has no connection of its own.
func (a *App) EtcdClients() *cluster.EtcdClients { return &a.etcd }

// etcdConnection is a connection as the configuration has it. A user without a
// password, or the reverse, is not used: Load warned of it.
func etcdConnection(c config.EtcdConnection) cluster.EtcdConnection {
	conn := cluster.EtcdConnection{
		Endpoints: c.Endpoints, TLSFiles: cluster.TLSFiles(c.TLS), DialTimeout: c.DialTimeout,
	}
	if c.User != "" && c.Pass != "" {
		conn.Username, conn.Password = c.User, string(c.Pass)
	}
	return conn
}
