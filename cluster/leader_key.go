package cluster

import (
	"context"
	"encoding/json"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Who leads a type is in two keys inside the etcd prefix:
//
//	leaders/<type>         who does; under its lease, so that it ends with the
//	                       leader, and its revision is the fencing token
//	leaders/<type>/wanted  who was chosen by hand; under the lease of that one
const (
	leadersPrefix = "leaders/"
	wantedSuffix  = "/wanted"
	// followedEnd ends the range of keys that is followed, which begins at
	// leadersPrefix and ends after FolderServers. One range makes one watch, so that
	// what happens to leaders and servers is told in etcd's order. Nothing of ours
	// or Pitaya's is between the two; what is, is skipped.
	followedEnd = "servers0"
)

// claim names one run of one server; the zero claim is nobody's.
type claim struct {
	ID    string `json:"id"`
	Nonce string `json:"nonce"`
}

func claimOf(s *Server) claim { return claim{ID: s.ID, Nonce: s.Nonce} }

// leading is what one of the keys says.
type leading struct {
	claim    claim
	lease    clientv3.LeaseID
	revision int64 // 0 when the key is gone
	wanted   bool
}

func (l *leading) key(serverType string) string {
	if l.wanted {
		return wantedKey(serverType)
	}
	return leaderKey(serverType)
}

func leaderKey(serverType string) string { return leadersPrefix + serverType }
func wantedKey(serverType string) string { return leadersPrefix + serverType + wantedSuffix }

// readLeading reads a key of the leaders. What is no claim, or not bounded by a
// lease, is nobody's.
func readLeading(pair *mvccpb.KeyValue) (update, bool) {
	serverType, ok := strings.CutPrefix(string(pair.Key), leadersPrefix)
	if !ok {
		return update{}, false
	}
	serverType, wanted := strings.CutSuffix(serverType, wantedSuffix)
	l := &leading{wanted: wanted, lease: clientv3.LeaseID(pair.Lease)}
	if pair.Version > 0 { // else it was deleted
		l.revision = pair.ModRevision
	}
	if pair.Lease == 0 || len(pair.Value) > maxServerValue || json.Unmarshal(pair.Value, &l.claim) != nil || !ValidServerName(l.claim.ID) {
		l.claim = claim{}
	}
	return update{serverType: serverType, revision: pair.ModRevision, leading: l}, ValidServerName(serverType)
}

// claimFor puts a claim of a server in one of the leader's keys, under its lease,
// if it still is the run that is known and cond holds. It returns the revision of
// the claim; 0 when that was not so.
func (s *etcdStore) claimFor(ctx context.Context, key string, who *Server, cond ...clientv3.Cmp) (int64, error) {
	own := serverKey(who.Type, who.ID)
	resp, err := s.kv.Get(ctx, own)
	if err != nil || len(resp.Kvs) == 0 || resp.Kvs[0].CreateRevision != who.Epoch || resp.Kvs[0].Lease == 0 {
		return 0, err
	}
	value, err := json.Marshal(claimOf(who))
	if err != nil {
		return 0, err
	}
	lease := clientv3.LeaseID(resp.Kvs[0].Lease)
	txn, err := s.kv.Txn(ctx).
		If(append(cond, clientv3.Compare(clientv3.CreateRevision(own), "=", who.Epoch), clientv3.Compare(clientv3.LeaseValue(own), "=", lease))...).
		Then(clientv3.OpPut(key, string(value), clientv3.WithLease(lease))).
		Commit()
	if err != nil || !txn.Succeeded {
		return 0, err
	}
	return txn.Header.Revision, nil
}
