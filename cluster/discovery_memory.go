package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ ServiceDiscovery = (*MemoryDiscovery)(nil)
	_ lifecycle.Module = (*MemoryDiscovery)(nil)
)

// MemoryRegistry is what etcd is to EtcdDiscovery: the place where the servers
// of one process find each other. Use NewMemoryRegistry.
type MemoryRegistry struct {
	// mu guards all fields, and makes a change and its place in every inbox one step.
	mu       sync.Mutex
	revision int64
	servers  map[string]update // by key
	inboxes  map[*inbox]struct{}
}

// NewMemoryRegistry returns an empty registry.
func NewMemoryRegistry() *MemoryRegistry {
	return &MemoryRegistry{servers: map[string]update{}, inboxes: map[*inbox]struct{}{}}
}

// Crash removes a server as if its process had died: without a word. The
// server itself does not notice and does not come back by itself.
func (r *MemoryRegistry) Crash(serverType, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.servers[serverKey(serverType, id)]; ok {
		r.write(update{serverType: serverType, id: id})
	}
}

// put stores s unless somebody else has its key.
func (r *MemoryRegistry) put(s *Server) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	holder := r.servers[serverKey(s.Type, s.ID)].server
	if holder != nil && holder.Nonce != s.Nonce {
		return fmt.Errorf("server %s of type %s: %w", s.ID, s.Type, ErrIDTaken)
	}
	s = s.clone()
	s.Epoch = r.revision + 1
	if holder != nil {
		s.Epoch = holder.Epoch
	}
	r.write(update{serverType: s.Type, id: s.ID, server: s})
	return nil
}

// remove says that s left, and takes its key away when it is still its own.
func (r *MemoryRegistry) remove(s *Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	holder := r.servers[serverKey(s.Type, s.ID)].server
	if holder == nil || holder.Nonce != s.Nonce {
		return
	}
	r.write(update{serverType: s.Type, id: s.ID, server: holder.withState(StateLeft)})
	r.write(update{serverType: s.Type, id: s.ID})
}

// write makes one change; r.mu is held.
func (r *MemoryRegistry) write(u update) {
	r.revision++
	u.revision = r.revision
	if u.server != nil {
		u.server.Revision = r.revision // nobody else has this value yet
	}
	if key := serverKey(u.serverType, u.id); u.server == nil {
		delete(r.servers, key)
	} else {
		r.servers[key] = u
	}
	for in := range r.inboxes {
		in.push(u)
	}
}

// subscribe lists the servers at a revision and has in hear of every change
// after that.
func (r *MemoryRegistry) subscribe(in *inbox) (listed []update, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	listed = make([]update, 0, len(r.servers))
	for _, u := range r.servers {
		listed = append(listed, u)
	}
	r.inboxes[in] = struct{}{}
	return listed, r.revision
}

func (r *MemoryRegistry) unsubscribe(in *inbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inboxes, in)
}

// inbox is what a discovery has yet to apply.
type inbox struct {
	wake  chan struct{}
	mu    sync.Mutex // guards queue
	queue []update
}

func (in *inbox) push(u update) {
	in.mu.Lock()
	in.queue = append(in.queue, u)
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *inbox) take() []update {
	in.mu.Lock()
	defer in.mu.Unlock()
	queue := in.queue
	in.queue = nil
	return queue
}

// MemoryDiscovery is a ServiceDiscovery over a MemoryRegistry, for tests and for
// clusters within one process. It keeps the promises of EtcdDiscovery except
// that nothing can fail: it is always connected and never stale.
type MemoryDiscovery struct {
	registry *MemoryRegistry
	self     *Server // nil for an observer
	view     *view
	inbox    *inbox
	syncs    chan chan struct{}
	lastSync atomic.Int64
	state    atomic.Pointer[lifecycle.Group] // nil unless running

	mu         sync.Mutex // guards what follows
	announced  *Server
	registered bool
}

// NewMemoryDiscovery returns the discovery of one server of the registry; self
// nil only observes, log nil discards. It starts nothing: that is Init's.
func NewMemoryDiscovery(registry *MemoryRegistry, self *Server, log logrus.FieldLogger) (*MemoryDiscovery, error) {
	if registry == nil {
		return nil, errors.New("memory discovery: a registry is needed")
	}
	if self != nil {
		self = prepareSelf(self)
		if err := self.validate(); err != nil {
			return nil, err
		}
	}
	return &MemoryDiscovery{
		registry:  registry,
		self:      self,
		announced: self,
		inbox:     &inbox{wake: make(chan struct{}, 1)},
		syncs:     make(chan chan struct{}),
		view: newView(viewParams{
			self: self, suspectFor: DefaultSuspectFor, log: orDiscard(log), metrics: noDiscoveryMetrics{},
		}),
	}, nil
}

// Name is the module's name.
func (d *MemoryDiscovery) Name() string { return "discovery" }

// Init makes the view complete and keeps it so.
func (d *MemoryDiscovery) Init(context.Context) error {
	group := lifecycle.NewGroup(context.Background())
	if !d.state.CompareAndSwap(nil, group) {
		return errors.New("memory discovery: Init was called twice")
	}
	d.view.replace(d.registry.subscribe(d.inbox))
	d.lastSync.Store(time.Now().UnixNano())
	d.view.start(group)
	group.Go("discovery.view", d.run)
	return nil
}

// AfterInit does nothing.
func (d *MemoryDiscovery) AfterInit(context.Context) error { return nil }

// BeforeShutdown has the server leave.
func (d *MemoryDiscovery) BeforeShutdown(ctx context.Context) { _ = d.Deregister(ctx) }

// Shutdown stops following the registry. A server that did not leave yet does.
func (d *MemoryDiscovery) Shutdown(ctx context.Context) error {
	group := d.state.Swap(nil)
	if group == nil {
		return nil
	}
	_ = d.Deregister(ctx)
	d.registry.unsubscribe(d.inbox)
	return group.Stop(ctx)
}

func (d *MemoryDiscovery) run(ctx context.Context) {
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.inbox.wake:
			d.catchUp()
		case done := <-d.syncs:
			d.catchUp()
			d.lastSync.Store(time.Now().UnixNano())
			close(done)
		case <-d.view.hints.wake:
			d.view.heed()
		case <-due:
		}
		due = alarm(d.view.expire())
	}
}

// catchUp applies what is in the inbox.
func (d *MemoryDiscovery) catchUp() {
	if updates := d.inbox.take(); len(updates) > 0 {
		d.view.apply(updates, updates[len(updates)-1].revision)
	}
}

// alarm fires at t; never when t is zero.
func alarm(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}

// Register makes this server known. It returns ErrIDTaken when another one of
// the registry has its type and id.
func (d *MemoryDiscovery) Register(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil || d.registered {
		return err
	}
	if err := d.registry.put(d.announced); err != nil {
		return err
	}
	d.registered = true
	return nil
}

// Edit changes what this server says of itself, now or when it registers.
// IfRevision is not looked at: nobody else edits a server of this registry.
func (d *MemoryDiscovery) Edit(_ context.Context, e Edit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return err
	}
	next := e.of(d.announced)
	if err := errors.Join(e.validate(), next.validate()); err != nil {
		return err
	}
	d.announced = next
	if !d.registered {
		return nil
	}
	return d.registry.put(next)
}

// Deregister says that this server left. Register makes it known again.
func (d *MemoryDiscovery) Deregister(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.registered {
		d.registered = false
		d.registry.remove(d.self)
	}
	return nil
}

func (d *MemoryDiscovery) usable() error {
	switch {
	case d.self == nil:
		return errObserver
	case d.state.Load() == nil:
		return ErrNotRunning
	}
	return nil
}

// Self is this server as it last announced itself, nonce included; nil for an observer.
func (d *MemoryDiscovery) Self() *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.announced
}

// Server implements ServiceDiscovery.
func (d *MemoryDiscovery) Server(id string) (*Server, bool) { return d.Snapshot().Server(id) }

// Servers implements ServiceDiscovery.
func (d *MemoryDiscovery) Servers() []*Server { return d.Snapshot().Servers() }

// ServersByType implements ServiceDiscovery.
func (d *MemoryDiscovery) ServersByType(serverType string) []*Server {
	return d.Snapshot().ServersByType(serverType)
}

// AddListener implements ServiceDiscovery.
func (d *MemoryDiscovery) AddListener(l Listener) { d.view.add(l) }

// SyncServers implements ServiceDiscovery.
func (d *MemoryDiscovery) SyncServers(ctx context.Context) error {
	group := d.state.Load()
	if group == nil {
		return ErrNotRunning
	}
	done := make(chan struct{})
	select {
	case d.syncs <- done:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-group.Context().Done():
		return ErrNotRunning
	}
}

// IsConnected reports whether it runs.
func (d *MemoryDiscovery) IsConnected() bool { return d.state.Load() != nil }

// LastSync is when the view was last compared with the registry; zero before Init.
func (d *MemoryDiscovery) LastSync() time.Time {
	if at := d.lastSync.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Stale is always false.
func (d *MemoryDiscovery) Stale() bool { return false }

// Fenced is always false.
func (d *MemoryDiscovery) Fenced() bool { return false }
