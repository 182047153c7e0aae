package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

var _ lifecycle.Module = (*Registry)(nil)

// Registry registers instances of services and finds those of others. Between
// Init and Shutdown its methods may be called from any goroutine; before and
// after they return an error that is cluster.ErrNotRunning.
type Registry struct {
	log      logrus.FieldLogger // may be nil
	lost     func(name, id string, err error)
	group    *lifecycle.Group // of those told of what is lost; since Init
	services *cluster.EtcdDiscovery
	sources  []source // services, then game servers

	running atomic.Bool
	ended   chan struct{} // closed by Shutdown
	end     func()

	mu  sync.Mutex // guards own
	own map[place]*cluster.Registration
}

// place is where an instance stands.
type place struct{ name, id string }

// source is a folder of etcd that is followed.
type source struct {
	*cluster.EtcdDiscovery
	game bool
}

// New checks the parameters, all faults at once. It does no I/O and starts nothing.
func New(p Params) (*Registry, error) {
	clients := p.Clients
	if clients == nil {
		clients = new(cluster.EtcdClients) // one client for both folders
	}
	services, err := cluster.NewEtcdDiscovery(p.discovery(cluster.FolderServices, clients))
	if err != nil {
		return nil, err
	}
	r := &Registry{
		log: p.Log, lost: p.Lost, services: services, sources: []source{{EtcdDiscovery: services}},
		ended: make(chan struct{}), own: map[place]*cluster.Registration{},
	}
	r.end = sync.OnceFunc(func() { close(r.ended) })
	if p.ServicesOnly {
		return r, nil
	}
	servers, err := cluster.NewEtcdDiscovery(p.discovery(cluster.FolderServers, clients))
	if err != nil {
		return nil, err
	}
	r.sources = append(r.sources, source{EtcdDiscovery: servers, game: true})
	return r, nil
}

// Name is the module's name.
func (r *Registry) Name() string { return "registry" }

// Init connects, lists and starts to watch: when it returns nil everything that
// is registered is known. While etcd does not answer it is tried again for
// BootTimeout; after an error nothing is left behind. A Registry is not started
// again after Shutdown: make another.
func (r *Registry) Init(ctx context.Context) error {
	switch {
	case r.over():
		return errors.New("registry: it was shut down and is not started again: make another with New")
	case r.running.Load():
		return errors.New("registry: Init was called twice")
	}
	for n, s := range r.sources {
		if err := s.Init(ctx); err != nil {
			return errors.Join(err, shutdown(ctx, r.sources[:n]))
		}
	}
	r.group = lifecycle.NewGroup(context.WithoutCancel(ctx))
	r.running.Store(true)
	return nil
}

// AfterInit does nothing.
func (r *Registry) AfterInit(context.Context) error { return nil }

// BeforeShutdown deregisters everything that was registered here.
func (r *Registry) BeforeShutdown(ctx context.Context) { r.services.BeforeShutdown(ctx) }

// Shutdown deregisters what is still registered, ends every Watcher and closes
// the client, unless it was passed in. It may be called again.
func (r *Registry) Shutdown(ctx context.Context) error {
	r.running.Store(false)
	r.end()
	err := shutdown(ctx, r.sources)
	if r.group == nil {
		return err
	}
	return errors.Join(err, r.group.Stop(ctx))
}

func shutdown(ctx context.Context, sources []source) error {
	var faults []error
	for _, s := range sources {
		faults = append(faults, s.Shutdown(ctx))
	}
	return errors.Join(faults...)
}

func (r *Registry) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// Degraded is why what Get answers may be old: etcd is away or unwell. Nil when
// all is well.
func (r *Registry) Degraded() error {
	for _, s := range r.sources {
		if err := s.Degraded(); err != nil {
			return err
		}
	}
	return nil
}

// Get is every instance of a name that is present, in whatever state, services
// before game servers, then by id; the empty name is all names, sorted. None is no
// error. Take one that is Available for new work. Get asks nobody: it answers with
// what this process knows, and what it returns is the caller's own. Another
// registry's change is known here some milliseconds after it was made.
func (r *Registry) Get(ctx context.Context, name string) ([]Instance, error) {
	if err := r.check(ctx, name); err != nil {
		return nil, err
	}
	list := []Instance{}
	for _, s := range r.sources {
		list = s.appendInstances(list, s.Snapshot(), name)
	}
	return sorted(list), nil
}

// check is what Get and Watch need.
func (r *Registry) check(ctx context.Context, name string) error {
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if !r.running.Load() {
		return r.notRunning()
	}
	return context.Cause(ctx)
}

// notRunning says why nothing can be done, and what to do.
func (r *Registry) notRunning() error {
	if r.over() {
		return fmt.Errorf("registry: it was shut down, make another with New: %w", cluster.ErrNotRunning)
	}
	return fmt.Errorf("registry: call Init first, or have an app do it (App.RegisterModule): %w", cluster.ErrNotRunning)
}

func (s source) appendInstances(list []Instance, from *cluster.Snapshot, name string) []Instance {
	for _, server := range from.Servers() {
		if name == "" || server.Type == name {
			list = append(list, instanceOf(server, s.game))
		}
	}
	return list
}

// sorted brings the parts of a list, services and game servers, into order.
func sorted(list []Instance) []Instance {
	slices.SortStableFunc(list, func(a, b Instance) int {
		if c := cmp.Compare(a.Name, b.Name); c != 0 || a.Game != b.Game {
			return c // services come first
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return list
}
