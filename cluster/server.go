package cluster

import "slices"

// State says whether a server wants new work. The zero value is StateUp.
type State string

// States that a server tells about itself (design section 4) and, for Suspect,
// that discovery concludes: of a server that vanished, or that calls do not reach.
const (
	StateUp       State = "up"
	StateBusy     State = "busy"
	StateDraining State = "draining"
	StatePaused   State = "paused"
	StateSuspect  State = "suspect"
	StateLeft     State = "left"
)

// Server is one node of the cluster as discovery knows it. It is immutable:
// a change makes a new value.
type Server struct {
	ID       string            // unique in the cluster, ^[A-Za-z0-9_.-]{1,64}$
	Type     string            // same alphabet
	Metadata map[string]string // the application's; never nil
	Frontend bool              // holds client connections
	Hostname string            // informational

	// Extension facts (the "cereus" key of the value in etcd); zero for a Pitaya server.
	Nonce string   // one run of one process; "" for a Pitaya server
	Caps  []string // extensions it understands
	State State
	// Weight is its share of new work: one of 200 is given twice as much as one of
	// 100, and 0, as of a Pitaya server, counts as 100.
	Weight int

	// Epoch is the create revision of its key: higher for every restart. 0 in memory-less views.
	Epoch int64
	// Revision is that of the last write of its key. An Edit can ask for it.
	Revision int64

	// gone: it is no longer in the cluster and still answered for. A view says so
	// of the values it makes; State alone does not, a server that calls do not
	// reach is StateSuspect too.
	gone bool
}

// Has reports whether the server understands the extension named capability.
func (s *Server) Has(capability string) bool {
	return slices.Contains(s.Caps, capability)
}

// Cereus reports whether the server is one of ours rather than a Pitaya peer.
func (s *Server) Cereus() bool { return s.Nonce != "" }
