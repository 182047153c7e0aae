package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errHeld means that somebody else's value is in the key.
var errHeld = errors.New("the key holds another server's value")

// holderPoll is how often a key that another process left behind is looked at.
const holderPoll = 500 * time.Millisecond

// ownKey is this server's key. It is written in transactions that compare the
// revision of our last write, so that what another process put is never
// overwritten or deleted.
type ownKey struct {
	store   *etcdStore
	log     logrus.FieldLogger
	timeout time.Duration // of one read
	key     string
	nonce   string

	revision int64 // of our last write; 0 before the first
	changed  bool  // there is something to say that was not written yet
}

// put writes the value under the lease, whether the key is missing or ours, and
// returns the revision of the write. errHeld: it is somebody else's.
func (k *ownKey) put(ctx context.Context, s *Server, lease clientv3.LeaseID) (int64, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("server %s: %w", s.ID, err)
	}
	write := clientv3.OpPut(k.key, string(value), clientv3.WithLease(lease))
	for {
		held, err := k.swap(ctx, write)
		if err != nil || held == nil {
			return k.revision, err
		}
		switch {
		case held.ModRevision == 0:
			k.revision = 0 // it was deleted: create it
		case k.owns(held):
			k.revision = held.ModRevision
		default:
			return 0, errHeld
		}
	}
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
		k.revision, k.changed = resp.Header.Revision, false
		return nil, nil
	}
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		return kvs[0], nil
	}
	return &mvccpb.KeyValue{}, nil
}

// leave puts the state left, if the key is still ours.
func (k *ownKey) leave(ctx context.Context, s *Server, lease clientv3.LeaseID) error {
	value, err := json.Marshal(s.withState(StateLeft))
	if err != nil {
		return fmt.Errorf("server %s: %w", s.ID, err)
	}
	write := clientv3.OpPut(k.key, string(value), clientv3.WithLease(lease))
	for k.revision != 0 {
		held, err := k.swap(ctx, write)
		if err != nil || held == nil {
			return err
		}
		if held.ModRevision == 0 || !k.owns(held) {
			return nil
		}
		k.revision = held.ModRevision
	}
	return nil
}

// owns reports whether a value was put by this run of this server.
func (k *ownKey) owns(held *mvccpb.KeyValue) bool {
	s := new(Server)
	return len(held.Value) <= maxServerValue && json.Unmarshal(held.Value, s) == nil && s.Nonce == k.nonce
}

// clear returns when the key is missing or ours. While another process holds it,
// it waits for that one's lease to run out; when the holder turns out to be
// alive the error is ErrIDTaken.
func (k *ownKey) clear(ctx context.Context) error {
	var h holder
	for first := true; ; first = false {
		held, err := k.look(ctx)
		if err != nil || held == nil || k.owns(held) {
			return err
		}
		left, err := k.timeToLive(ctx, held)
		if err != nil {
			return err
		}
		if h.alive(held, left) {
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
	ttl             time.Duration // whole seconds, rounded down; not positive when it ran out
}

func (k *ownKey) timeToLive(ctx context.Context, held *mvccpb.KeyValue) (reading, error) {
	asked := time.Now()
	if held.Lease == 0 {
		return reading{asked: asked, answered: asked}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	resp, err := k.store.lease.TimeToLive(ctx, clientv3.LeaseID(held.Lease))
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return reading{asked: asked, answered: time.Now(), ttl: -time.Second}, nil
	}
	if err != nil {
		return reading{}, err
	}
	return reading{asked: asked, answered: time.Now(), ttl: time.Duration(resp.TTL) * time.Second}, nil
}

// holder is what was seen of the process that holds our key.
type holder struct {
	lease    int64
	revision int64
	// latest is when the lease has run out at the latest, unless it is renewed.
	latest time.Time
}

// alive takes one more look and reports whether the process certainly lives: it
// has a key that no lease bounds, wrote the key (other than to say that it
// leaves), or renewed the lease.
func (h *holder) alive(held *mvccpb.KeyValue, left reading) bool {
	latest := left.answered.Add(left.ttl + time.Second)
	if held.Lease == 0 {
		return true
	}
	if h.revision == 0 {
		*h = holder{lease: held.Lease, revision: held.ModRevision, latest: latest}
		return false
	}
	if held.Lease != h.lease || left.ttl > 0 && !left.asked.Add(left.ttl).Before(h.latest) {
		return true
	}
	if held.ModRevision == h.revision {
		return false
	}
	h.revision = held.ModRevision
	s := new(Server)
	return json.Unmarshal(held.Value, s) != nil || s.State != StateLeft
}
