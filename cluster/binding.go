package cluster

import (
	"encoding/json"
	"errors"

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
	// one with the higher epoch holds (a fencing token; the record's revision).
	Epoch int64

	lease clientv3.LeaseID
}

// bindingRecord is the value of a record.
type bindingRecord struct {
	Server  string `json:"server"`
	Nonce   string `json:"nonce"`
	Session int64  `json:"session"`
}

var errBadBinding = errors.New("the value is not a binding")

func bindingKey(serverType, uid string) string { return bindingsPrefix + serverType + "/" + uid }

// value is what stands in etcd for a binding.
func (b *Binding) value() string {
	value, _ := json.Marshal(bindingRecord{b.ServerID, b.Nonce, b.Session}) // strings and a number
	return string(value)
}

// sameRun reports whether both are of one run of one frontend.
func (b *Binding) sameRun(nonce string) bool { return b.Nonce == nonce }

// parseBinding reads an entry of etcd. What is no binding has an epoch, and no
// server.
func parseBinding(serverType string, kv *mvccpb.KeyValue) (*Binding, error) {
	b := &Binding{Type: serverType, Epoch: kv.ModRevision, lease: clientv3.LeaseID(kv.Lease)}
	var r bindingRecord
	if len(kv.Value) > maxBindingValue || json.Unmarshal(kv.Value, &r) != nil {
		return b, errBadBinding
	}
	if !ValidServerName(r.Server) || r.Nonce == "" || r.Session <= 0 {
		return b, errBadBinding
	}
	b.ServerID, b.Nonce, b.Session = r.Server, r.Nonce, r.Session
	return b, nil
}
