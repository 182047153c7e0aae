package cluster

import (
	"context"
	"errors"
)

// ErrIDTaken is what Register returns, and what the app dies of, when another
// live process holds this server's id. Give every server an id of its own.
var ErrIDTaken = errors.New("the server id is held by another live process")

// ErrNotRunning is returned by calls on a service discovery before its Init
// succeeded or after its Shutdown began.
var ErrNotRunning = errors.New("service discovery is not running")

// ServiceDiscovery tells who is in the cluster. All methods may be called from
// any goroutine; the first three read an immutable snapshot and neither lock
// nor allocate.
type ServiceDiscovery interface {
	// Server finds a server by its id. For some time (60 s by default) it also
	// answers with servers that are gone: their State is StateLeft after a
	// graceful leave and StateSuspect after a crash.
	Server(id string) (*Server, bool)
	// Servers is every server present, in whatever state, sorted by id. One that
	// is there and that calls do not reach has StateSuspect. The slice is shared: do
	// not change it.
	Servers() []*Server
	// ServersByType is every server of a type that may be given work (StateUp
	// or StateBusy), sorted by id. The slice is shared: do not change it.
	ServersByType(serverType string) []*Server
	// AddListener has l hear of every change from now on, after first hearing
	// of the servers that are present already.
	AddListener(l Listener)
	// SyncServers compares the view with its source now rather than at the
	// next interval, and returns when the view is as new as this call.
	SyncServers(ctx context.Context) error
}

// Policy says what a server does when it loses its registration, that is when
// its lease in etcd ended and cannot be had again (config key sd.etcd.onloss).
type Policy string

// The policies. The zero value means PolicyContinue.
const (
	// PolicyContinue goes on with the last view and tries to register for ever.
	PolicyContinue Policy = "continue"
	// PolicyFence does the same, and Fenced tells the frontend to take no new players.
	PolicyFence Policy = "fence"
	// PolicyExit has the app die after the configured number of retries, as Pitaya does.
	PolicyExit Policy = "exit"
)

// DiscoveryMetrics is told what happens in service discovery. Its methods are
// called often and concurrently and must not block.
type DiscoveryMetrics interface {
	// ServersPresent is the number of servers in a new snapshot.
	ServersPresent(n int)
	// EntrySkipped counts a value that is not a server (fault E07).
	EntrySkipped()
	// Relisted counts a complete listing; reason is a constant word.
	Relisted(reason string)
	// LeaseLost counts a registration that was lost.
	LeaseLost()
	// ListenerPanicked counts a panic in a Listener.
	ListenerPanicked()
}

type noDiscoveryMetrics struct{}

func (noDiscoveryMetrics) ServersPresent(int) {}
func (noDiscoveryMetrics) EntrySkipped()      {}
func (noDiscoveryMetrics) Relisted(string)    {}
func (noDiscoveryMetrics) LeaseLost()         {}
func (noDiscoveryMetrics) ListenerPanicked()  {}
