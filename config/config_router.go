package config

import (
	"fmt"
	"maps"
	"slices"
)

// Router is how servers are picked for clients' messages that are forwarded and
// for calls of servers. What the application sets in code wins.
type Router struct {
	Default RouterPolicy            `key:"default"`
	Types   map[string]RouterPolicy `key:"types" default:"" validate:"dive" doc:"single server types that are picked in another way: a section for each, named like the type, with the keys of cluster.router.default; what it leaves out is as without any configuration, not as in cluster.router.default"`
}

// RouterPolicy is how servers of one type are picked. Empty texts and zeros are
// the defaults.
type RouterPolicy struct {
	Policy  PolicyName    `key:"policy" default:"random" validate:"omitempty,oneof=random roundrobin leastloaded rendezvous sticky" doc:"how one of the servers of a type is picked (package router): random, roundrobin, leastloaded (of two the one with less to do), rendezvous (the same uid, or key, the same server) or sticky (a session stays with the server that it met)"`
	Inner   PolicyName    `key:"inner" default:"random" validate:"omitempty,oneof=random roundrobin leastloaded rendezvous" doc:"how sticky picks the server that a session meets"`
	Bound   float64       `key:"bound" default:"0" validate:"off_or_1" doc:"with rendezvous, and of the default for calls with a key: a server with more than so many times the average load is skipped; 1.25 is a good one; 0 is no bound"`
	Version RouterVersion `key:"version"`
	Canary  RouterCanary  `key:"canary"`
	Zone    RouterZone    `key:"zone"`
}

// PolicyName names a way to pick a server.
type PolicyName string

// The policies that a configuration can name.
const (
	PolicyRandom      PolicyName = "random"
	PolicyRoundRobin  PolicyName = "roundrobin"
	PolicyLeastLoaded PolicyName = "leastloaded"
	PolicyRendezvous  PolicyName = "rendezvous"
	PolicySticky      PolicyName = "sticky"
)

// RouterVersion picks by the version of the client.
type RouterVersion struct {
	Metadata string `key:"metadata" default:"" doc:"metadata key with the version of a server; the servers with the build number of the client's handshake are picked from, for calls without a client those with this server's own version; empty is off"`
}

// RouterCanary gives a share of the players to servers that are tried out.
type RouterCanary struct {
	Metadata string  `key:"metadata" default:"" doc:"metadata key that marks the servers that are tried out; empty is off"`
	Value    string  `key:"value" default:"" doc:"value of that key on these servers"`
	Percent  float64 `key:"percent" default:"0" validate:"gte=0,lte=100" doc:"share of the players that these servers get, in percent"`
}

// RouterZone prefers servers that are near.
type RouterZone struct {
	Metadata string  `key:"metadata" default:"" doc:"metadata key with the zone of a server, such as region; servers of this server's zone are picked from as long as there are any; empty is off"`
	Zone     string  `key:"zone" default:"" doc:"this server's zone; empty is what its metadata say"`
	Busy     float64 `key:"busy" default:"0" validate:"gte=0" doc:"calls under way, of this server and as it tells itself, from which a near server gets help from other zones, as does then one whose state is busy; 0 is never"`
}

// faults are those of settings that are right each by itself.
func (r Router) faults() []*Fault {
	faults := r.Default.faults("cluster.router.default")
	for _, serverType := range slices.Sorted(maps.Keys(r.Types)) {
		faults = append(faults, r.Types[serverType].faults("cluster.router.types."+serverType)...)
	}
	return faults
}

func (p RouterPolicy) faults(section string) (faults []*Fault) {
	fault := func(key, want string) { faults = append(faults, &Fault{Key: section + "." + key, Want: want}) }
	if p.Inner != "" && p.Inner != PolicyRandom && p.Policy != PolicySticky {
		fault("inner", fmt.Sprintf("is only used with policy sticky: set policy to sticky, or to %s itself", p.Inner))
	}
	if p.Canary.Metadata == "" && (p.Canary.Value != "" || p.Canary.Percent != 0) {
		fault("canary.metadata", "must be set for the other keys of canary: it marks the servers that are tried out")
	}
	if p.Canary.Metadata != "" && p.Canary.Value == "" {
		fault("canary.value", "must be set: it marks the servers that are tried out")
	}
	if p.Zone.Metadata == "" && (p.Zone.Zone != "" || p.Zone.Busy != 0) {
		fault("zone.metadata", "must be set for the other keys of zone: it holds the zone of a server")
	}
	return faults
}
