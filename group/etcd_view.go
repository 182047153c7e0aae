package group

import (
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdView is a copy of all groups, and tells how it changes.
type etcdView struct {
	keys   keys
	tell   func(Change)
	ended  func(name string) // a group ended and left members behind
	listed bool
	etcdCopy
}

type etcdCopy struct {
	groups  map[string]*viewGroup
	servers map[Holder]struct{}
}

// viewGroup is one group, or what lies about of one.
type viewGroup struct {
	created  int64 // 0: it is not there
	members  map[string]viewMember
	profiles map[string]*mvccpb.KeyValue
}

type viewMember struct {
	Member
	created int64
}

func newEtcdView(k keys, tell func(Change)) *etcdView {
	return &etcdView{keys: k, tell: tell, ended: func(string) {}, etcdCopy: newEtcdCopy()}
}

func newEtcdCopy() etcdCopy {
	return etcdCopy{groups: map[string]*viewGroup{}, servers: map[Holder]struct{}{}}
}

// list makes the view what was listed. The first time nothing is told; later
// something was missed, and what is told is the difference.
func (v *etcdView) list(kvs []*mvccpb.KeyValue) {
	fresh := etcdView{keys: v.keys, tell: func(Change) {}, ended: func(string) {}, etcdCopy: newEtcdCopy()}
	events := make([]*clientv3.Event, len(kvs))
	for i, kv := range kvs {
		events[i] = &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv}
	}
	fresh.apply(events)
	old := v.etcdCopy
	v.etcdCopy = fresh.etcdCopy
	if v.listed {
		v.tell(Change{Kind: ChangeMissed})
		v.compare(old)
	}
	v.listed = true
	for name, g := range v.groups {
		if g.created == 0 && len(g.members) > 0 {
			v.ended(name)
		}
	}
}

// compare tells how the view differs from an old one.
func (v *etcdView) compare(old etcdCopy) {
	for _, name := range slices.Sorted(maps.Keys(old.groups)) {
		was, is := old.groups[name], v.group(name)
		for uid, m := range was.present() {
			now, there := is.present()[uid]
			_, alive := v.servers[m.Holder]
			switch {
			case there && now.created == m.created:
			case is.created != was.created:
				v.left(name, m.Member, ReasonGroupEnded)
			case m.held() && !alive:
				v.left(name, m.Member, ReasonServerGone)
			default:
				v.left(name, m.Member, ReasonLeft)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.groups)) {
		was := old.groups[name]
		for uid, m := range v.groups[name].present() {
			if was == nil || was.present()[uid].created != m.created {
				v.tell(Change{Kind: ChangeJoined, Group: name, Member: m.Member})
			}
		}
	}
}

// present is the members of a group that is there.
func (g *viewGroup) present() map[string]viewMember {
	if g.created == 0 {
		return nil
	}
	return g.members
}

func (v *etcdView) group(name string) *viewGroup {
	g := v.groups[name]
	if g == nil {
		g = &viewGroup{members: map[string]viewMember{}, profiles: map[string]*mvccpb.KeyValue{}}
		v.groups[name] = g
	}
	return g
}

// apply is what one revision changed. Everything in it happened at once; it is
// told in an order that makes sense of it.
func (v *etcdView) apply(events []*clientv3.Event) {
	b := sortEvents(v.keys, events)
	for h := range b.arrived {
		v.servers[h] = struct{}{}
	}
	for _, e := range b.profiles {
		if e.put {
			v.group(e.name).profiles[e.uid] = e.kv
		}
	}
	for _, e := range b.members {
		if !e.put {
			v.removed(b, e)
		}
	}
	for _, e := range b.groups {
		v.grouped(e)
	}
	for _, e := range b.members {
		if e.put {
			v.put(e)
		}
	}
	v.known(b)
	for h := range b.gone {
		delete(v.servers, h)
	}
}

// removed: a member's key was deleted.
func (v *etcdView) removed(b batch, e entry) {
	g := v.group(e.name)
	m, there := g.members[e.uid]
	delete(g.members, e.uid)
	if !there || g.created == 0 {
		v.drop(e.name)
		return
	}
	_, gone := b.gone[m.Holder]
	switch {
	case b.endsGroup(e.name):
		v.left(e.name, m.Member, ReasonGroupEnded)
	case gone && m.held():
		v.left(e.name, m.Member, ReasonServerGone)
	default:
		v.left(e.name, m.Member, ReasonLeft)
	}
}

// grouped: a group was made or ended.
func (v *etcdView) grouped(e entry) {
	g := v.group(e.name)
	if e.put {
		g.created = e.kv.CreateRevision
		return
	}
	for _, uid := range slices.Sorted(maps.Keys(g.present())) {
		v.left(e.name, g.members[uid].Member, ReasonGroupEnded)
	}
	g.created = 0
	if len(g.members) > 0 {
		v.ended(e.name)
	}
	v.drop(e.name)
}

// put: a member came, or is held by another.
func (v *etcdView) put(e entry) {
	g := v.group(e.name)
	_, there := g.members[e.uid]
	m := viewMember{Member: member(e.uid, e.kv.CreateRevision, g.profiles[e.uid]), created: e.kv.CreateRevision}
	g.members[e.uid] = m
	if !there && g.created != 0 {
		v.tell(Change{Kind: ChangeJoined, Group: e.name, Member: m.Member})
	}
}

// known: what is known of members changed.
func (v *etcdView) known(b batch) {
	for _, e := range b.profiles {
		g := v.group(e.name)
		if !e.put {
			delete(g.profiles, e.uid)
			v.drop(e.name)
		} else if m, there := g.members[e.uid]; there {
			m.Member = member(e.uid, m.created, e.kv)
			g.members[e.uid] = m
		}
	}
}

func (v *etcdView) left(name string, m Member, why Reason) {
	v.tell(Change{Kind: ChangeLeft, Group: name, Member: m, Reason: why})
}

// drop forgets a group of which nothing is left.
func (v *etcdView) drop(name string) {
	if g := v.groups[name]; g != nil && g.created == 0 && len(g.members) == 0 && len(g.profiles) == 0 {
		delete(v.groups, name)
	}
}

// batch is the changes of one revision by what they are of.
type batch struct {
	groups, members, profiles []entry
	arrived, gone             map[Holder]struct{}
}

type entry struct {
	name, uid string
	put       bool
	kv        *mvccpb.KeyValue
}

func sortEvents(k keys, events []*clientv3.Event) batch {
	b := batch{arrived: map[Holder]struct{}{}, gone: map[Holder]struct{}{}}
	for _, e := range events {
		kind, name, uid := k.split(string(e.Kv.Key))
		change := entry{name: name, uid: uid, put: e.Type == clientv3.EventTypePut, kv: e.Kv}
		switch kind {
		case keyGroup:
			b.groups = append(b.groups, change)
		case keyMember:
			b.members = append(b.members, change)
		case keyProfile:
			b.profiles = append(b.profiles, change)
		case keyServer:
			b.server(Holder{name, uid}, change.put)
		}
	}
	return b
}

func (b batch) server(h Holder, put bool) {
	if put {
		b.arrived[h] = struct{}{}
		return
	}
	b.gone[h] = struct{}{}
}

func (b batch) endsGroup(name string) bool {
	return slices.ContainsFunc(b.groups, func(e entry) bool { return e.name == name && !e.put })
}
