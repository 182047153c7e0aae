package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Enlistment is what a further Registration of an EtcdDiscovery is of. For what
// it does not say, EtcdParams holds.
type Enlistment struct {
	// Self is the server. With an empty ID it gets the id of its first lease, in
	// hexadecimal, and keeps that. Its Nonce may be empty. It never leads its type.
	Self   *Server
	Health Health
	// Die is told why the server cannot be registered any more, see EtcdParams.Die;
	// nil means that of EtcdParams.
	Die func(error)
}

// Enlist makes a registration beside that of this server, with a lease of its own
// and the same watch. It begins with Register, and ends with Close or with the
// discovery; both deregister. It returns ErrNotRunning before Init and after
// Shutdown began.
func (d *EtcdDiscovery) Enlist(e Enlistment) (*Registration, error) {
	p, err := d.params.enlist(e)
	if err != nil {
		return nil, err
	}
	run := d.link.Load()
	if run == nil {
		return nil, ErrNotRunning
	}
	group := lifecycle.NewGroup(run.group.Context())
	r := run.enlist(p, newAnnouncement(p.Self), group)
	r.closed = func() {
		run.follower.overlook(r)
		run.roll.remove(r)
	}
	if !run.roll.add(r) {
		run.follower.overlook(r)
		return nil, errors.Join(ErrNotRunning, group.Stop(context.Background()))
	}
	r.start()
	return r, nil
}

// enlist is the parameters of a registration.
func (p EtcdParams) enlist(e Enlistment) (EtcdParams, error) {
	if e.Self == nil {
		return p, errors.New("enlist: a server is needed")
	}
	p.Self, p.Health = prepareSelf(e.Self), e.Health.withDefaults()
	p.Self.ID = p.Folder.id(p.Self.Type, p.Self.ID)
	p.Self.Caps = slices.DeleteFunc(p.Self.Caps, func(c string) bool { return c == constants.CapLeader })
	if e.Die != nil {
		p.Die = e.Die
	}
	named := p.Folder.plain(p.Self)
	p.Log = p.Log.WithField("server", named.ID).WithField("type", named.Type)
	return p, errors.Join(named.withID(cmp.Or(named.ID, "0")).validate(), p.Health.validate())
}

// Close deregisters, as Deregister does, also when ctx has ended already, and
// ends a registration made by Enlist: nothing else can be done with it then. It
// may be called again. Its own Die must not call it.
func (r *Registration) Close(ctx context.Context) error {
	ctx, cancel := withLastWords(ctx)
	defer cancel()
	err := r.Deregister(ctx)
	if errors.Is(err, ErrNotRunning) {
		err = nil
	}
	return errors.Join(err, r.dismiss(ctx))
}

// dismiss waits for the end of a registration that deregistered.
func (r *Registration) dismiss(ctx context.Context) error {
	ctx, cancel := withLastWords(ctx)
	defer cancel()
	if err := r.group.Stop(ctx); err != nil {
		return err // the discovery's Shutdown waits for it
	}
	r.closed()
	return nil
}

// roll has the further registrations of a discovery.
type roll struct {
	mu     sync.Mutex // guards what follows
	open   map[*Registration]struct{}
	closed bool
}

func newRoll() *roll { return &roll{open: map[*Registration]struct{}{}} }

// add reports false when there can be no more.
func (l *roll) add(r *Registration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.open[r] = struct{}{}
	}
	return !l.closed
}

func (l *roll) remove(r *Registration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, r)
}

func (l *roll) all() []*Registration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.open))
}

// close lets nobody in any more.
func (l *roll) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// leave deregisters every server of this discovery, all at the same time, and
// reports whether there was anything to do.
func (run *etcdRun) leave(ctx context.Context) bool {
	all := run.roll.all()
	if run.own != nil {
		all = append(all, run.own)
	}
	results := make(chan bool, len(all))
	for _, r := range all {
		if !run.group.Go("discovery.leave", func(context.Context) { results <- r.end(ctx) }) {
			results <- false // all is over already
		}
	}
	left := false
	for range all {
		left = <-results || left
	}
	return left
}

// dismiss waits for the end of the further registrations.
func (run *etcdRun) dismiss(ctx context.Context) error {
	var faults []error
	for _, r := range run.roll.all() {
		faults = append(faults, r.dismiss(ctx))
	}
	return errors.Join(faults...)
}
