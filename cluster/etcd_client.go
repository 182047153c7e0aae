package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
)

// A connection that swallows what is sent (fault E05) is noticed within the sum
// of these two; gRPC allows no shorter time.
const (
	dialKeepAliveTime    = 10 * time.Second
	dialKeepAliveTimeout = 3 * time.Second
)

// The pauses between attempts to connect grow from the one to the other.
const (
	firstRedial = 50 * time.Millisecond
	lastRedial  = 400 * time.Millisecond
)

// etcdStore is the part of etcd inside the prefix, with a watcher and a lease
// client of its own so that closing it leaves nothing behind in a shared client.
type etcdStore struct {
	client  *clientv3.Client
	shared  *etcdClient  // the client, when it is one of ours
	release func() error // gives the client back
	kv      clientv3.KV
	watcher clientv3.Watcher
	lease   clientv3.Lease
	entries *entryReader // of boot, then of the follower
}

func openStore(ctx context.Context, p EtcdParams) (*etcdStore, error) {
	s := &etcdStore{client: p.Client, release: func() error { return nil }, entries: newEntryReader(p)}
	if p.Client == nil {
		shared, release, err := p.Clients.acquire(ctx, p.connection())
		if err != nil {
			return nil, err
		}
		s.client, s.shared, s.release = shared.Client, shared, release
	}
	s.kv = namespace.NewKV(s.client.KV, p.Prefix)
	s.watcher = namespace.NewWatcher(clientv3.NewWatcher(s.client), p.Prefix)
	s.lease = clientv3.NewLease(s.client)
	return s, nil
}

func (s *etcdStore) close() error {
	err := errors.Join(s.watcher.Close(), s.lease.Close())
	if errors.Is(err, context.Canceled) { // how they say that they closed
		err = nil
	}
	return errors.Join(err, s.release())
}

// bootPatience is after which time without an answer the log says what is waited for.
const bootPatience = time.Second

// boot connects and lists once, trying again until the boot timeout.
func boot(ctx context.Context, p EtcdParams) (*etcdStore, listing, error) {
	ctx, cancel := context.WithTimeout(ctx, p.BootTimeout)
	defer cancel()
	waiting := time.AfterFunc(bootPatience, func() {
		p.Log.WithFields(logrus.Fields{"endpoints": p.where(), "for": p.BootTimeout}).Warn("etcd does not answer yet, trying again")
	})
	defer waiting.Stop()
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
	store, err := openStore(ctx, p)
	if err != nil {
		return nil, listing{}, err
	}
	first, err := store.entries.list(ctx, store.kv)
	if err != nil {
		return nil, listing{}, errors.Join(store.explain(err), store.close())
	}
	return store, first, nil
}

// where is the endpoints, for people to read.
func (p EtcdParams) where() string {
	if p.Client != nil {
		return strings.Join(p.Client.Endpoints(), ", ")
	}
	return strings.Join(p.Endpoints, ", ")
}

func bootError(p EtcdParams, err error) error {
	where := p.where()
	if _, ok := errors.AsType[*tlsFault](err); ok {
		return fmt.Errorf("etcd at %s: %w", where, err)
	}
	if hopeless(err) {
		return fmt.Errorf("etcd at %s refuses this server, check user and password: %w", where, err)
	}
	return fmt.Errorf("etcd at %s did not answer within %v, check that it runs and that the endpoints are right: %w", where, p.BootTimeout, err)
}

// hopeless reports whether etcd gave an answer that trying again will not change.
func hopeless(err error) bool {
	if _, ok := errors.AsType[*tlsFault](err); ok {
		return true
	}
	for _, refusal := range []error{
		rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
	} {
		if errors.Is(rpctypes.Error(err), refusal) {
			return true
		}
	}
	return false
}

// explain adds to the error of a call what is known about the connection.
func (s *etcdStore) explain(err error) error {
	if s.shared == nil {
		return err
	}
	return s.shared.explain(err)
}

// redial replaces the connections to etcd, for whoever shares the client too. It
// never blocks. A client that was passed in is left alone.
func (s *etcdStore) redial() {
	if s.shared != nil {
		s.shared.redial()
	}
}
