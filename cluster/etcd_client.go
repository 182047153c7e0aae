package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
)

// A connection that swallows what is sent (fault E05) is noticed within the sum
// of these two; gRPC allows no shorter time.
const (
	dialKeepAliveTime    = 10 * time.Second
	dialKeepAliveTimeout = 3 * time.Second
)

// etcdStore is the part of etcd inside the prefix, with a watcher and a lease
// client of its own so that closing it leaves nothing behind in a shared client.
type etcdStore struct {
	client  *clientv3.Client
	owned   bool
	kv      clientv3.KV
	watcher clientv3.Watcher
	lease   clientv3.Lease
	entries *entryReader // of boot, then of the follower
}

func openStore(p EtcdParams) (*etcdStore, error) {
	client := p.Client
	if client == nil {
		made, err := newEtcdClient(p)
		if err != nil {
			return nil, err
		}
		client = made
	}
	return &etcdStore{
		client:  client,
		owned:   p.Client == nil,
		kv:      namespace.NewKV(client.KV, p.Prefix),
		watcher: namespace.NewWatcher(clientv3.NewWatcher(client), p.Prefix),
		lease:   clientv3.NewLease(client),
		entries: newEntryReader(p),
	}, nil
}

// newEtcdClient does I/O only when there is a user to log in. Its calls wait for
// a connection until their context ends.
func newEtcdClient(p EtcdParams) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            p.Endpoints,
		DialTimeout:          p.DialTimeout,
		DialKeepAliveTime:    dialKeepAliveTime,
		DialKeepAliveTimeout: dialKeepAliveTimeout,
		TLS:                  p.TLS,
		Username:             p.Username,
		Password:             p.Password,
		Logger:               zap.NewNop(), // what matters is logged here
		// gRPC alone would wait up to two minutes between attempts to connect.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 400 * time.Millisecond},
			MinConnectTimeout: p.DialTimeout,
		})},
	})
}

func (s *etcdStore) close() error {
	err := errors.Join(s.watcher.Close(), s.lease.Close())
	if s.owned {
		err = errors.Join(err, s.client.Close())
	}
	if errors.Is(err, context.Canceled) { // how the client says that it closed
		return nil
	}
	return err
}

// boot connects and lists once, trying again until the boot timeout.
func boot(ctx context.Context, p EtcdParams) (*etcdStore, listing, error) {
	ctx, cancel := context.WithTimeout(ctx, p.BootTimeout)
	defer cancel()
	wait := newBackoff(50*time.Millisecond, 250*time.Millisecond)
	for {
		store, first, err := bootOnce(ctx, p)
		if err == nil {
			return store, first, nil
		}
		if hopeless(err) || !pause(ctx, wait.NextBackOff()) {
			return nil, listing{}, bootError(p, err)
		}
	}
}

func bootOnce(ctx context.Context, p EtcdParams) (*etcdStore, listing, error) {
	store, err := openStore(p)
	if err != nil {
		return nil, listing{}, err
	}
	first, err := store.entries.list(ctx, store.kv)
	if err != nil {
		return nil, listing{}, errors.Join(err, store.close())
	}
	return store, first, nil
}

func bootError(p EtcdParams, err error) error {
	endpoints := p.Endpoints
	if p.Client != nil {
		endpoints = p.Client.Endpoints()
	}
	where := strings.Join(endpoints, ", ")
	if hopeless(err) {
		return fmt.Errorf("etcd at %s refuses this server, check user and password: %w", where, err)
	}
	return fmt.Errorf("etcd at %s did not answer within %v, check that it runs and that the endpoints are right: %w", where, p.BootTimeout, err)
}

// hopeless reports whether etcd gave an answer that trying again will not change.
func hopeless(err error) bool {
	for _, refusal := range []error{
		rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
	} {
		if errors.Is(rpctypes.Error(err), refusal) {
			return true
		}
	}
	return false
}

// newBackoff grows from the first to the last interval, give or take a half, so
// that servers that lost etcd together do not come back together.
func newBackoff(first, last time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = first, last, 0.5
	b.Reset()
	return b
}

// around is an interval, give or take a fifth, so that servers that started
// together do not ask together.
func around(d time.Duration) time.Duration {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = d, d, 0.2
	b.Reset()
	return b.NextBackOff()
}

// redial is replaced by the merge of branch client.
func (s *etcdStore) redial() {}
