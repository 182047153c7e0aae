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

// snapshot is the cluster at one moment. It is immutable; edit makes the next.
type snapshot struct {
	seed   maphash.Seed
	byID   *idIndex             // whoever Server(id) answers with, those gone included
	all    []*Server            // those present, by id
	byType map[string][]*Server // those that may be given work, by id
}

func newSnapshot() *snapshot {
	return &snapshot{seed: maphash.MakeSeed(), byID: new(idIndex), byType: map[string][]*Server{}}
}

func (s *snapshot) shard(id string) int { return int(maphash.String(s.seed, id) % idShards) }

func (s *snapshot) server(id string) (*Server, bool) {
	found, ok := s.byID[s.shard(id)][id]
	return found, ok
}

// present reports whether a server counts as being in the cluster.
func present(s *Server) bool {
	return s != nil && s.State != StateLeft && s.State != StateSuspect
}

// change is what one id was and is; nil is nobody.
type change struct {
	id            string
	before, after *Server
}

// apply makes the snapshot after the changes, which name each id once. Its cost
// is one copy of the lists that a change is in.
func (s *snapshot) apply(changes []change) *snapshot {
	changes = slices.SortedFunc(slices.Values(changes), func(a, b change) int { return strings.Compare(a.id, b.id) })
	next := &snapshot{seed: s.seed, byID: s.indexWith(changes), all: s.all, byType: s.byType}
	next.all = merge(s.all, changes, present)
	types := touchedTypes(changes)
	if len(types) == 0 {
		return next
	}
	next.byType = maps.Clone(s.byType)
	for serverType := range types {
		list := merge(s.byType[serverType], changes, func(c *Server) bool {
			return c != nil && c.Type == serverType && c.routable()
		})
		if len(list) == 0 {
			delete(next.byType, serverType)
			continue
		}
		next.byType[serverType] = list
	}
	return next
}

func (s *snapshot) indexWith(changes []change) *idIndex {
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
