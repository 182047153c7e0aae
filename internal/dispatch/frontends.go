package dispatch

import (
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/constants"
)

// mix says which frontends there are of a type.
type mix int

const (
	mixed  mix = iota // both, or none that is known
	ours              // all have CapPush
	theirs            // none has
)

func (d *Dispatcher) frontends(serverType string) mix {
	servers := d.discovery.ServersByType(serverType)
	if len(servers) == 0 { // all of them may be paused
		servers, _ = d.holders(serverType)
	}
	with := 0
	for _, s := range servers {
		if s.Has(constants.CapPush) {
			with++
		}
	}
	switch {
	case len(servers) == 0:
		return mixed
	case with == len(servers):
		return ours
	case with == 0:
		return theirs
	}
	return mixed
}

// holders are the servers of a type that may hold users: those that are paused or
// drain, too, and those that lost their registration, which may be dead or may not.
// It reports false when there may be others, because discovery is behind.
func (d *Dispatcher) holders(serverType string) (servers []*cluster.Server, all bool) {
	behind, ok := d.discovery.(interface{ Stale() bool })
	all = !ok || !behind.Stale() // asked first: a list is renewed, but never goes back
	for _, s := range d.discovery.Servers() {
		if s.Type == serverType {
			servers = append(servers, s)
		}
	}
	if d.leaders != nil {
		servers = append(servers, d.leaders.Snapshot().Suspects(serverType)...)
	}
	return servers, all
}
