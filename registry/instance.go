package registry

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/cereus-game/cereus/cluster"
)

// MetadataAddresses is the key of the metadata in etcd that has the addresses,
// joined with commas.
const MetadataAddresses = "addr"

// Bounds of the addresses of an instance: how many, and of each its length.
const (
	MaxAddresses    = 16
	MaxAddressBytes = 256
)

// Instance is one running copy of a service.
type Instance struct {
	// Name is what it does: 1 to 64 of A-Z a-z 0-9 _ . and -.
	Name string
	// ID is unique within the name, of the same alphabet. Register makes one of an
	// empty ID.
	ID string
	// Addresses are where it is reached, as host:port or URLs: at most 16 of at most
	// 256 bytes, without commas, spaces and control characters.
	Addresses []string
	// Metadata is the application's. Of a service's instance it does not have
	// MetadataAddresses, unless what is there is no list of addresses.
	Metadata map[string]string
	// Weight is its share of the work: one of 200 is to get twice as much as one of
	// 100, and 0 counts as 100; at most cluster.MaxWeight.
	Weight int
	// State says whether it wants new work; empty is cluster.StateUp. Of one that is
	// gone it is StateLeft after a farewell and StateSuspect after a crash.
	State cluster.State

	// Revision is that of etcd when the instance last changed. Register ignores it.
	Revision int64
	// Game: it is a game server of the cluster. Register refuses it.
	Game bool
}

// Available reports whether the instance wants new work: it is up or busy.
func (i Instance) Available() bool {
	return i.State == "" || i.State == cluster.StateUp || i.State == cluster.StateBusy
}

// server is the instance as a server that can be enlisted.
func (i Instance) server() (*cluster.Server, error) {
	if err := i.validate(); err != nil {
		return nil, err
	}
	s := &cluster.Server{ID: i.ID, Type: i.Name, Metadata: maps.Clone(i.Metadata), State: i.State, Weight: i.Weight}
	if s.Metadata == nil {
		s.Metadata = map[string]string{}
	}
	if len(i.Addresses) > 0 {
		s.Metadata[MetadataAddresses] = strings.Join(i.Addresses, ",")
	}
	return s, nil
}

func (i Instance) validate() error {
	faults := []error{checkName(i.Name), checkAddresses(i.Addresses)}
	if i.ID != "" && !cluster.ValidServerName(i.ID) {
		faults = append(faults, fmt.Errorf("id %q: use 1 to 64 of A-Z a-z 0-9 _ . -, or none", i.ID))
	}
	if _, ok := i.Metadata[MetadataAddresses]; ok {
		faults = append(faults, fmt.Errorf("metadata %q: put the addresses into Addresses", MetadataAddresses))
	}
	if i.Weight < 0 || i.Weight > cluster.MaxWeight {
		faults = append(faults, fmt.Errorf("weight %d: use 0 to %d", i.Weight, cluster.MaxWeight))
	}
	switch i.State {
	case "", cluster.StateUp, cluster.StateBusy, cluster.StateDraining, cluster.StatePaused:
	default:
		faults = append(faults, fmt.Errorf("state %q: use up, busy, draining or paused", i.State))
	}
	if i.Game {
		faults = append(faults, errors.New("game servers register through the cluster, not here: leave Game unset"))
	}
	return errors.Join(faults...)
}

func checkName(name string) error {
	if !cluster.ValidServerName(name) {
		return fmt.Errorf("name %q: use 1 to 64 of A-Z a-z 0-9 _ . -", name)
	}
	return nil
}

func checkAddresses(addresses []string) error {
	if len(addresses) > MaxAddresses {
		return fmt.Errorf("%d addresses: use at most %d", len(addresses), MaxAddresses)
	}
	for _, a := range addresses {
		switch {
		case a == "" || len(a) > MaxAddressBytes:
			return fmt.Errorf("an address of %d bytes: use 1 to %d", len(a), MaxAddressBytes)
		case strings.ContainsFunc(a, notInAddress):
			return fmt.Errorf("address %q: leave out commas, spaces and control characters", a)
		}
	}
	return nil
}

func notInAddress(r rune) bool { return r == ',' || r <= ' ' || r == 0x7f || r == '\uFFFD' }

// splitAddresses reads what stands under MetadataAddresses.
func splitAddresses(joined string) ([]string, error) {
	if len(joined) > MaxAddresses*(MaxAddressBytes+1) {
		return nil, fmt.Errorf("addresses of %d bytes: use at most %d of at most %d", len(joined), MaxAddresses, MaxAddressBytes)
	}
	addresses := strings.Split(joined, ",")
	return addresses, checkAddresses(addresses)
}

// instanceOf is a server as an instance. It shares nothing with the server.
func instanceOf(s *cluster.Server, game bool) Instance {
	i := Instance{
		Name: s.Type, ID: s.ID, Metadata: maps.Clone(s.Metadata),
		Weight: s.Weight, State: s.State, Revision: s.Revision, Game: game,
	}
	if !game {
		i.ID = strings.TrimPrefix(s.ID, s.Type+"/")
	}
	joined, ok := s.Metadata[MetadataAddresses]
	if !ok {
		return i
	}
	if addresses, err := splitAddresses(joined); err == nil {
		i.Addresses = addresses
		if !game { // a game server's metadata is its own affair
			delete(i.Metadata, MetadataAddresses)
		}
	}
	return i
}
