package cluster

import (
	"encoding/json"
	"math"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// bindingsPrefix is where bindings stand in etcd, inside the prefix:
// x/bindings/<frontend type>/<uid>. A uid is the rest of its key, slashes
// included, and stands there as it is: a key of etcd can carry any bytes.
const bindingsPrefix = "x/bindings/"

// maxBindingValue bounds the value of a record.
const maxBindingValue = 1 << 10

// Binding says which session of which frontend a user is bound to.
type Binding struct {
	Type     string // of the frontend
	ServerID string // of the frontend
	Nonce    string // of the frontend's run
	Session  int64  // see session.Session.ID
	// Epoch rises with every bind of the user: of two bindings of one user the
	// one with the higher epoch holds (a fencing token). It is the revision of the
	// record when it was first written, and stays when it is written again.
	Epoch int64

	revision int64
	lease    clientv3.LeaseID
}

// bindingRecord is the value of a record.
type bindingRecord struct {
	Server  string `json:"server"`
	Nonce   string `json:"nonce"`
	Session int64  `json:"session"`
	Epoch   int64  `json:"epoch,omitempty"` // 0: the revision of this entry
}

func bindingKey(serverType, uid string) string { return bindingsPrefix + serverType + "/" + uid }

// value is what stands in etcd for a binding.
func (b *Binding) value() string {
	value, err := json.Marshal(bindingRecord{b.ServerID, b.Nonce, b.Session, b.Epoch})
	if err != nil {
		panic(err) // strings and a number always can be
	}
	return string(value)
}

// sameRun reports whether both are of one run of one frontend.
func (b *Binding) sameRun(nonce string) bool { return b.Nonce == nonce }

// parseBinding reads an entry of etcd. It reports false for what is no binding,
// of which only the revision is told.
func parseBinding(serverType string, kv *mvccpb.KeyValue) (*Binding, bool) {
	b := &Binding{Type: serverType, Epoch: kv.ModRevision, revision: kv.ModRevision, lease: clientv3.LeaseID(kv.Lease)}
	var r bindingRecord
	if len(kv.Value) > maxBindingValue || json.Unmarshal(kv.Value, &r) != nil {
		return b, false
	}
	if !ValidServerName(r.Server) || r.Nonce == "" || r.Session <= 0 || r.Epoch < 0 || r.Epoch == math.MaxInt64 {
		return b, false
	}
	if r.Epoch > 0 {
		b.Epoch = r.Epoch
	}
	b.ServerID, b.Nonce, b.Session = r.Server, r.Nonce, r.Session
	return b, true
}
