package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errHeld means that somebody else's value is in the key.
var errHeld = errors.New("the key holds another server's value")

// keyTimeout bounds one read or write of the key, and of what is known of its lease.
const keyTimeout = 5 * time.Second

// holderPoll is how often a key that another process left behind is looked at.
const holderPoll = 500 * time.Millisecond

// ownKey is this server's key. It is written in transactions that compare the
// revision of our last write, so that what another process put is never
// overwritten or deleted.
type ownKey struct {
	store   *etcdStore
	log     logrus.FieldLogger
	timeout time.Duration // of one read or write
	folder  Folder
	key     string // "" while the server has no id
	nonce   string

	revision int64 // of the key as we last knew it; 0 when it was not ours
}

func newOwnKey(p EtcdParams, store *etcdStore) ownKey {
	k := ownKey{store: store, log: p.Log, timeout: min(p.GrantTimeout, keyTimeout), folder: p.Folder, nonce: p.Self.Nonce}
	if p.Self.ID != "" {
		k.key = k.folder.key(p.Self.Type, p.Self.ID)
	}
	return k
}

// put writes what is said under the lease, whether the key is missing or ours.
// errHeld: it is somebody else's.
func (k *ownKey) put(ctx context.Context, said *announcement, lease clientv3.LeaseID) error {
	for {
		self := said.send()
		value, err := k.folder.value(self)
		if err != nil {
			return fmt.Errorf("server %s: %w", self.ID, err)
		}
		held, err := k.swap(ctx, clientv3.OpPut(k.key, string(value), clientv3.WithLease(lease)))
		switch {
		case err != nil:
			return err
		case held == nil:
			said.written(self)
			return nil
		case held.ModRevision == 0:
			k.revision = 0 // it was deleted: create it
		case !k.adopt(held, said):
			return errHeld
		}
	}
}

// adopt takes over what is in the key when it is ours, and reports whether it is.
func (k *ownKey) adopt(held *mvccpb.KeyValue, said *announcement) bool {
	s, ok := k.ours(held)
	if ok && held.ModRevision != k.revision {
		said.adopt(s)
		k.revision = held.ModRevision
	}
	return ok
}

// swap does the write if the key is as we left it (missing, when revision is 0);
// otherwise it returns what is there, with ModRevision 0 when nothing is.
func (k *ownKey) swap(ctx context.Context, write clientv3.Op) (*mvccpb.KeyValue, error) {
	resp, err := k.store.kv.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(k.key), "=", k.revision)).
		Then(write).
		Else(clientv3.OpGet(k.key)).
		Commit()
	if err != nil {
		return nil, err
	}
	if resp.Succeeded {
		k.revision = resp.Header.Revision
		return nil, nil
	}
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		return kvs[0], nil
	}
	return &mvccpb.KeyValue{}, nil
}

// leave puts the state left, if the key is still ours.
func (k *ownKey) leave(ctx context.Context, s *Server, lease clientv3.LeaseID) error {
	value, err := k.folder.value(s.withState(StateLeft))
	if err != nil {
		return fmt.Errorf("server %s: %w", s.ID, err)
	}
	write := clientv3.OpPut(k.key, string(value), clientv3.WithLease(lease))
	for k.revision != 0 {
		held, err := k.swap(ctx, write)
		if err != nil || held == nil {
			return err
		}
		if _, ok := k.ours(held); !ok {
			return nil
		}
		k.revision = held.ModRevision
	}
	return nil
}

// ours is the server in the key, if this run of this server put it.
func (k *ownKey) ours(held *mvccpb.KeyValue) (*Server, bool) {
	s := new(Server)
	ok := len(held.Value) <= maxServerValue && json.Unmarshal(held.Value, s) == nil && s.Nonce == k.nonce
	return s, ok
}

// says reports whether the key says what the server does.
func (k *ownKey) says(held *mvccpb.KeyValue, self *Server) bool {
	s, ok := k.ours(held)
	return ok && s.says(k.folder.plain(self))
}

// clear returns when the key is missing or ours. While another process holds it,
// it waits for that one's lease to run out; when the holder turns out to be
// alive the error is ErrIDTaken. A key under one of our own leases proves nobody's
// life: a renewal of ours may have come late.
func (k *ownKey) clear(ctx context.Context, own ...clientv3.LeaseID) error {
	if k.key == "" {
		return nil
	}
	var h holder
	for first := true; ; first = false {
		held, err := k.look(ctx)
		if err != nil || held == nil {
			return err
		}
		if _, ok := k.ours(held); ok {
			return nil
		}
		if held.Lease == 0 {
			return fmt.Errorf("etcd key %q: %w, or was put by hand: no lease bounds it; when nobody uses it, delete it", k.key, ErrIDTaken)
		}
		left, err := k.timeToLive(ctx, held)
		if err != nil {
			return err
		}
		if h.alive(held, left) && !slices.Contains(own, clientv3.LeaseID(held.Lease)) {
			return fmt.Errorf("etcd key %q: %w; give every server an id of its own, or stop the other one", k.key, ErrIDTaken)
		}
		if first {
			k.log.WithFields(logrus.Fields{"key": k.key, "remaining": left.ttl}).
				Warn("waiting for the lease of this server id's previous or another live process to run out")
		}
		if !pause(ctx, holderPoll) {
			return context.Cause(ctx)
		}
	}
}

func (k *ownKey) look(ctx context.Context) (*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	resp, err := k.store.kv.Get(ctx, k.key)
	if err != nil || len(resp.Kvs) == 0 {
		return nil, err
	}
	return resp.Kvs[0], nil
}

// reading is the rest of a lease at some moment between two of this process's clock.
type reading struct {
	asked, answered time.Time
	ttl             time.Duration // whole seconds, rounded down; negative when there is no such lease
	granted         time.Duration // what a renewal makes of it
	term            uint64        // of Raft
}

func (k *ownKey) timeToLive(ctx context.Context, held *mvccpb.KeyValue) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	asked := time.Now()
	resp, err := k.store.lease.TimeToLive(ctx, clientv3.LeaseID(held.Lease))
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return reading{asked: asked, answered: time.Now(), ttl: -time.Second}, nil
	}
	if err != nil {
		return reading{}, err
	}
	return reading{
		asked: asked, answered: time.Now(), term: resp.RaftTerm,
		ttl: time.Duration(resp.TTL) * time.Second, granted: time.Duration(resp.GrantedTTL) * time.Second,
	}, nil
}

// holder is what was seen of the process that holds our key.
type holder struct {
	lease int64
	term  uint64
	// latest is when the lease has run out at the latest, unless it is renewed.
	latest time.Time
}

// expirySlack is how late etcd may be in ending a lease that ran out.
const expirySlack = 3 * time.Second

// alive takes one more look and reports whether the process certainly lives: it
// put the key under another lease, or renewed the lease. That the key was written
// is no sign: operators edit it, too.
func (h *holder) alive(held *mvccpb.KeyValue, left reading) bool {
	if h.lease == 0 || left.term != h.term && left.ttl >= 0 { // a new leader of etcd gives every lease its full time again
		*h = holder{lease: held.Lease, term: left.term, latest: left.answered.Add(left.ttl + time.Second)}
		return false
	}
	return held.Lease != h.lease || h.renewed(left)
}

// renewed reports whether the lease lasts longer than it did when first seen. A
// rest below a second reads as 0, so a lease of 1 s shows it only by still
// being there.
func (h *holder) renewed(left reading) bool {
	if left.ttl > 0 {
		return !left.asked.Add(left.ttl).Before(h.latest)
	}
	return left.ttl == 0 && left.granted <= time.Second && left.asked.After(h.latest.Add(expirySlack))
}
