package cluster

import (
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/constants"
)

// Leader is the server of a type that does what only one of them may do: the
// longest registered of those that may be given work, or the one set by hand.
type Leader struct {
	Type, ID string
	// Token is the fencing token: it rises with each change of the type's leader, so
	// that what a former one still writes can be told and refused.
	// It is a revision of etcd: where etcd loses its history (an old backup, an empty
	// disk), what remembers the highest token has to be told to forget it.
	Token int64
	// ByHand: it was chosen by an operator, not by its age.
	ByHand bool
}

// leadership is what the keys of a type's leader say.
type leadership struct {
	serverType string
	holder     claim
	lease      clientv3.LeaseID // of the holder's key
	token      int64            // the revision of the holder's key; 0 when there is none
	wanted     claim            // set by hand
	asked      int64            // the revision of its key; 0 when there is none
}

func (l leadership) empty() bool { return l.token == 0 && l.asked == 0 }

func (l leadership) leader() Leader {
	if l.holder == (claim{}) {
		return Leader{Type: l.serverType}
	}
	return Leader{Type: l.serverType, ID: l.holder.ID, Token: l.token, ByHand: l.holder == l.wanted}
}

// updates are what a listing would say.
func (l leadership) updates(serverType string) []update {
	var all []update
	if l.token != 0 {
		all = append(all, update{serverType: serverType, revision: l.token, leading: &leading{claim: l.holder, lease: l.lease, revision: l.token}})
	}
	if l.asked != 0 {
		all = append(all, update{serverType: serverType, revision: l.asked, leading: &leading{claim: l.wanted, revision: l.asked, wanted: true}})
	}
	return all
}

// lead makes an update of a key of a type's leader. The verdict of the type is
// what its keys say in the end.
func (v *view) lead(u update, verdicts map[string]*verdict, place int) {
	l := v.leaders[u.serverType]
	l.serverType = u.serverType
	before := l.leader()
	if u.leading.wanted {
		l.wanted, l.asked = u.leading.claim, u.leading.revision
	} else {
		l.holder, l.lease, l.token = u.leading.claim, u.leading.lease, u.leading.revision
	}
	v.leaders[u.serverType] = l
	if l.empty() {
		delete(v.leaders, u.serverType)
		l = leadership{serverType: u.serverType}
	}
	d := verdicts[leaderKey(u.serverType)]
	if d == nil {
		d = new(verdict)
		verdicts[leaderKey(u.serverType)] = d
	}
	d.leads, d.revision, d.place = &l, u.revision, place
	if d.first == 0 && l.leader() != before {
		d.first = u.revision
	}
}

// heir is the server that should lead a type; nil when none can.
func (s *Snapshot) heir(serverType string) *Server {
	var oldest *Server
	wanted := s.leaders[serverType].wanted
	for _, c := range s.ServersByType(serverType) {
		switch {
		case !c.Has(constants.CapLeader):
		case claimOf(c) == wanted:
			return c
		case oldest == nil || c.Epoch < oldest.Epoch:
			oldest = c
		}
	}
	return oldest
}
