package cluster

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/constants"
)

// unconfirmedFor is how long a server is suspected that does not tell its load,
// and so cannot be heard of, when no call finds nobody there meanwhile.
const unconfirmedFor = 5 * time.Second

// hint is what somebody noticed of one run of a server.
type hint struct {
	run  *Server
	lost bool // calls find nobody there; else it was heard of
}

// hints is what was noticed and is not in the view yet: the latest of each
// server, so there are never more than servers.
type hints struct {
	wake    chan struct{}
	waiting atomic.Int64 // hints not yet in the view, also those that are just being put there
	mu      sync.Mutex   // guards latest
	latest  map[string]hint
}

func newHints() *hints { return &hints{wake: make(chan struct{}, 1), latest: map[string]hint{}} }

func (h *hints) push(n hint) {
	h.mu.Lock()
	if _, ok := h.latest[n.run.ID]; !ok {
		h.waiting.Add(1)
	}
	h.latest[n.run.ID] = n
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hints) take() map[string]hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	latest := h.latest
	h.latest = map[string]hint{}
	return latest
}

func (v *view) suspect(id string) {
	if v.self != nil && id == v.self.ID {
		return // it is the one who knows that it is there
	}
	if s, ok := v.current.Load().Server(id); ok && present(s) {
		v.hints.push(hint{run: s, lost: true})
	}
}

// trust is called for every sign of life and costs a look, most of the time.
func (v *view) trust(id string) {
	waiting := v.hints.waiting.Load() // first: a snapshot from before what waits would not know
	if s, ok := v.current.Load().Server(id); ok && present(s) && (waiting > 0 || s.State == StateSuspect) {
		v.hints.push(hint{run: s})
	}
}

// suspicion is of a run of a server, until a time; zero is until it is heard of.
type suspicion struct {
	run   *Server
	until time.Time
}

// heed puts the hints into the view. Those of a former run say nothing.
func (v *view) heed() {
	latest := v.hints.take()
	defer v.hints.waiting.Add(-int64(len(latest)))
	var changes []change
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		n := latest[id]
		before, _ := v.current.Load().Server(id)
		if !present(before) || !sameRun(before, n.run) {
			continue
		}
		reason := ReasonReachable
		if n.lost {
			reason = ReasonUnreachable
			v.suspects[id] = v.newSuspicion(before)
		} else {
			delete(v.suspects, id)
		}
		changes = v.appendNews(changes, change{id: id, before: before, after: v.face(id), reason: reason})
	}
	v.commit(changes, v.current.Load().revision)
}

func (v *view) newSuspicion(run *Server) suspicion {
	if run.Has(constants.CapLoad) {
		return suspicion{run: run}
	}
	return suspicion{run: run, until: v.now().Add(v.unconfirmedFor)}
}

// expireSuspicions ends those whose time is over and says when the next one is
// due; zero is never.
func (v *view) expireSuspicions(changes []change, now time.Time) ([]change, time.Time) {
	var next time.Time
	for _, id := range slices.Sorted(maps.Keys(v.suspects)) {
		until := v.suspects[id].until
		switch {
		case until.IsZero():
		case until.After(now):
			next = earlier(next, until)
		default:
			delete(v.suspects, id)
			before, _ := v.current.Load().Server(id)
			changes = v.appendNews(changes, change{id: id, before: before, after: v.face(id), reason: ReasonReachable})
		}
	}
	return changes, next
}

// earlier is the earlier one of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Suspect says that calls to a server found nobody there. This process's view
// then has it as StateSuspect and gives it no work, until Trust, or a new run of
// it, ends that; of a server that does not tell its load (constants.CapLoad) also
// 5 s without another Suspect. Nobody else is told. An id that is not present, or
// this server's own, is ignored. It never blocks and may be called from anywhere.
func (d *EtcdDiscovery) Suspect(id string) { d.view.suspect(id) }

// Trust says that a server was heard of, which ends what Suspect began. It never
// blocks, may be called from anywhere, and costs next to nothing for a server
// that is not suspected.
func (d *EtcdDiscovery) Trust(id string) { d.view.trust(id) }

// Suspect is EtcdDiscovery's.
func (d *MemoryDiscovery) Suspect(id string) { d.view.suspect(id) }

// Trust is EtcdDiscovery's.
func (d *MemoryDiscovery) Trust(id string) { d.view.trust(id) }
