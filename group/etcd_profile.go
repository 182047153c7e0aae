package group

import (
	"encoding/json"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// maxProfile is the largest value that is taken for one.
const maxProfile = 16 << 10

// etcdProfile is the value of what is known of a member.
type etcdProfile struct {
	Attributes  map[string]string `json:"attributes,omitempty"`
	Server      string            `json:"server,omitempty"`
	Run         string            `json:"run,omitempty"`
	UntilUnbind bool              `json:"unbind,omitempty"`
}

func profileOf(m Member) string {
	value, err := json.Marshal(etcdProfile{m.Attributes, m.Holder.Server, m.Holder.Run, m.UntilUnbind})
	if err != nil { // cannot be: strings in a map
		return ""
	}
	return string(value)
}

// member puts together what is known. A profile that is older than the member
// is of an earlier one, whom a Pitaya server removed.
func member(uid string, created int64, profile *mvccpb.KeyValue) Member {
	m := Member{UID: uid}
	if profile == nil || profile.ModRevision < created || len(profile.Value) > maxProfile {
		return m
	}
	var p etcdProfile
	if json.Unmarshal(profile.Value, &p) != nil {
		return m // not ours
	}
	m.Attributes, m.Holder, m.UntilUnbind = p.Attributes, Holder{p.Server, p.Run}, p.UntilUnbind
	return m
}
