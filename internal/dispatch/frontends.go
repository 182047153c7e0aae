package dispatch

import "github.com/cereus-game/cereus/constants"

// mix says which frontends there are of a type.
type mix int

const (
	mixed  mix = iota // both, or none that is known
	ours              // all have CapPush
	theirs            // none has
)

func (d *Dispatcher) frontends(serverType string) mix {
	servers := d.discovery.ServersByType(serverType)
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
