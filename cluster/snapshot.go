package cluster

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// idShards is how many small maps the index by id is split into: a change
// copies one of them, not 5,000 entries.
const idShards = 256

type idIndex [idShards]map[string]*Server

// Snapshot is the cluster at one moment. It is immutable; the zero Snapshot is
// empty. The exported methods do not lock, and none but Suspects allocates.
type Snapshot struct {
	seed    maphash.Seed
	byID    *idIndex              // whoever Server(id) answers with, those gone included
	all     []*Server             // those present, by id
	byType  map[string][]*Server  // those that may be given work, by id
	members map[string]int        // how many are present, by type
	types   []string              // sorted
	leaders map[string]leadership // by type

	revision int64
	seq      uint64
}

func newSnapshot() *Snapshot {
	return &Snapshot{seed: maphash.MakeSeed(), byID: new(idIndex)}
}

func (s *Snapshot) shard(id string) int { return int(maphash.String(s.seed, id) % idShards) }

// Server finds a server by its id, also one that is gone and not forgotten yet
// (see ServiceDiscovery).
func (s *Snapshot) Server(id string) (*Server, bool) {
	if s.byID == nil {
		return nil, false
	}
	found, ok := s.byID[s.shard(id)][id]
	return found, ok
}

// Servers is every server present, in whatever state, sorted by id. The slice is
// shared: do not change it.
func (s *Snapshot) Servers() []*Server { return s.all }

// ServersByType is every server of a type that may be given work (StateUp or
// StateBusy), sorted by id. The slice is shared: do not change it.
func (s *Snapshot) ServersByType(serverType string) []*Server { return s.byType[serverType] }

// Types is the types of the servers present, sorted. The slice is shared: do not
// change it.
func (s *Snapshot) Types() []string { return s.types }

// Suspects is every server of a type that is gone without a word and not
// forgotten yet, in no order: it has crashed, or only lost its registration.
func (s *Snapshot) Suspects(serverType string) []*Server {
	if s.byID == nil {
		return nil
	}
	var suspects []*Server
	for _, shard := range s.byID {
		for _, known := range shard {
			if known.Type == serverType && known.gone && known.State == StateSuspect {
				suspects = append(suspects, known)
			}
		}
	}
	return suspects
}

// Leader is the leader of a type, if it has one.
func (s *Snapshot) Leader(serverType string) (Leader, bool) {
	l := s.leaders[serverType].leader()
	return l, l.ID != ""
}

// Revision is that of etcd, or of the in-memory registry, of which the snapshot
// is: of the last listing, or of the last change heard of since. 0 before Init.
func (s *Snapshot) Revision() int64 { return s.revision }

// Seq is the place in this process's history of the last event that the snapshot
// contains; 0 when there was none.
func (s *Snapshot) Seq() uint64 { return s.seq }

// Snapshot is the cluster as this process sees it now.
func (d *EtcdDiscovery) Snapshot() *Snapshot { return d.view.current.Load() }

// Snapshot is the cluster as this process sees it now.
func (d *MemoryDiscovery) Snapshot() *Snapshot { return d.view.current.Load() }

// asEvents tells the snapshot to somebody who knows nothing yet.
func (s *Snapshot) asEvents() []Event {
	var events []Event
	for _, known := range s.all {
		events = append(events, Event{
			Kind: EventUp, Reason: ReasonPresent, Type: known.Type, Server: known, Revision: s.revision, Seq: s.seq,
		})
	}
	for _, serverType := range slices.Sorted(maps.Keys(s.leaders)) {
		events = s.appendLeader(events, s.leaders[serverType].leader(), new(Snapshot), s.revision)
	}
	return events
}

// appendLeader adds that l leads its type, unless before says the same.
func (s *Snapshot) appendLeader(events []Event, l Leader, before *Snapshot, revision int64) []Event {
	if was, ok := before.Leader(l.Type); was == l || !ok && l.ID == "" {
		return events
	}
	e := leaderEvent(s, l)
	e.Revision = revision
	return append(events, e)
}

// withLeaders makes the leaders those after the changes.
func (s *Snapshot) withLeaders(changes []change) {
	leaders := make(map[string]leadership, len(s.leaders)+1)
	maps.Copy(leaders, s.leaders)
	for _, c := range changes {
		leaders[c.leads.serverType] = *c.leads
		if c.leads.empty() {
			delete(leaders, c.leads.serverType)
		}
	}
	s.leaders = leaders
}

// apply makes the snapshot after the changes, which name each id once. Its cost
// is one copy of the lists that a change is in.
func (s *Snapshot) apply(changes []change, revision int64) *Snapshot {
	next := *s
	next.revision = revision
	changes = slices.SortedFunc(slices.Values(changes), func(a, b change) int { return strings.Compare(a.id, b.id) })
	servers, _ := slices.BinarySearchFunc(changes, "\x00", func(c change, first string) int { return strings.Compare(c.id, first) })
	if servers > 0 { // those without an id
		next.withLeaders(changes[:servers])
		changes = changes[servers:]
	}
	if len(changes) == 0 {
		return &next
	}
	next.byID = s.indexWith(changes)
	next.all = merge(s.all, changes, present)
	next.countMembers(changes)
	next.listByType(changes)
	return &next
}

// countMembers makes members and types those after the changes.
func (s *Snapshot) countMembers(changes []change) {
	by := map[string]int{}
	for _, c := range changes {
		if present(c.before) {
			by[c.before.Type]--
		}
		if present(c.after) {
			by[c.after.Type]++
		}
	}
	maps.DeleteFunc(by, func(_ string, n int) bool { return n == 0 })
	if len(by) == 0 {
		return
	}
	members := make(map[string]int, len(s.members)+len(by))
	maps.Copy(members, s.members)
	for serverType, n := range by {
		members[serverType] += n
	}
	maps.DeleteFunc(members, func(_ string, n int) bool { return n == 0 })
	s.members, s.types = members, slices.Sorted(maps.Keys(members))
}

// listByType makes byType that after the changes.
func (s *Snapshot) listByType(changes []change) {
	types := touchedTypes(changes)
	if len(types) == 0 {
		return
	}
	byType := make(map[string][]*Server, len(s.byType)+len(types))
	maps.Copy(byType, s.byType)
	for serverType := range types {
		list := merge(s.byType[serverType], changes, func(c *Server) bool {
			return present(c) && c.Type == serverType && c.routable()
		})
		byType[serverType] = list
		if len(list) == 0 {
			delete(byType, serverType)
		}
	}
	s.byType = byType
}

func (s *Snapshot) indexWith(changes []change) *idIndex {
	index := *s.byID
	var copied [idShards]bool
	for _, c := range changes {
		n := s.shard(c.id)
		if !copied[n] {
			index[n], copied[n] = cloneShard(index[n]), true
		}
		if c.after == nil {
			delete(index[n], c.id)
			continue
		}
		index[n][c.id] = c.after
	}
	return &index
}

func cloneShard(shard map[string]*Server) map[string]*Server {
	if shard == nil {
		return map[string]*Server{}
	}
	return maps.Clone(shard)
}

func touchedTypes(changes []change) map[string]struct{} {
	types := map[string]struct{}{}
	for _, c := range changes {
		for _, s := range []*Server{c.before, c.after} {
			if s != nil && s.routable() {
				types[s.Type] = struct{}{}
			}
		}
	}
	return types
}

// merge is list, which is sorted by id, with the sorted changes made to it: an
// id is in the result with its new value when keep says so.
func merge(list []*Server, changes []change, keep func(*Server) bool) []*Server {
	merged := make([]*Server, 0, len(list)+len(changes))
	for _, c := range changes {
		n, found := slices.BinarySearchFunc(list, c.id, func(s *Server, id string) int { return strings.Compare(s.ID, id) })
		merged = append(merged, list[:n]...)
		if list = list[n:]; found {
			list = list[1:]
		}
		if keep(c.after) {
			merged = append(merged, c.after)
		}
	}
	merged = append(merged, list...)
	return slices.Clip(merged)
}
