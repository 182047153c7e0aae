package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/cereus-game/cereus/cluster"
)

var (
	// ErrRegistered is returned by Register for an instance that this registry has
	// registered. Edit changes it; Deregister it to register it anew.
	ErrRegistered = errors.New("the instance is registered by this registry already")
	// ErrNotRegistered is returned by Deregister for an instance that this registry
	// has not registered: who registered it has to deregister it.
	ErrNotRegistered = errors.New("the instance was not registered by this registry")
)

// RegisterOption changes one registration.
type RegisterOption func(*cluster.Enlistment)

// WithHealth registers the instance only while its checks pass. Register waits
// for the first round and returns nil also when that fails; the instance needs an
// ID then.
func WithHealth(h cluster.Health) RegisterOption {
	return func(e *cluster.Enlistment) { e.Health = h }
}

// Register makes an instance known, and keeps it so until Deregister or Shutdown:
// a lease that is lost is got again. It returns the instance's id and when etcd has
// it; others know some milliseconds later.
//
// While etcd does not answer it is tried again for BootTimeout. When the id is
// still there from another process, Register waits until that one's lease has run
// out, and returns cluster.ErrIDTaken when it is renewed instead. After an error
// nothing is registered.
func (r *Registry) Register(ctx context.Context, i Instance, options ...RegisterOption) (id string, err error) {
	e := cluster.Enlistment{}
	for _, o := range options {
		o(&e)
	}
	if e.Self, err = i.server(); err != nil {
		return "", fmt.Errorf("register an instance of %q: %w", i.Name, err)
	}
	if i.ID == "" && len(e.Health.Checks) > 0 {
		return "", fmt.Errorf("register an instance of %q: give one with health checks an ID", i.Name)
	}
	var own *cluster.Registration
	e.Die = func(err error) { r.lose(own, err) } // never before Register
	own, err = r.enlist(e)
	if err != nil {
		return "", err
	}
	if err := own.Register(ctx); err != nil {
		r.strike(own)
		_ = own.Close(ctx) // there is nothing to deregister
		return "", err
	}
	return r.enter(own, i), nil
}

// enlist makes a registration and reserves its place.
func (r *Registry) enlist(e cluster.Enlistment) (*cluster.Registration, error) {
	if !r.running.Load() {
		return nil, r.notRunning()
	}
	at := place{name: e.Self.Type, id: e.Self.ID}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.id != "" && r.own[at] != nil {
		return nil, fmt.Errorf("register %s of %s: %w", at.id, at.name, ErrRegistered)
	}
	own, err := r.services.Enlist(e)
	if err == nil && at.id != "" {
		r.own[at] = own
	}
	return own, err
}

// enter gives the registration of an instance its place and says its id. One that
// came with its id has its place already, or was deregistered meanwhile.
func (r *Registry) enter(own *cluster.Registration, i Instance) string {
	at := placeOf(own)
	if i.ID != "" {
		return at.id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own[at] = own
	return at.id
}

// strike takes a registration's place away.
func (r *Registry) strike(own *cluster.Registration) {
	at := placeOf(own)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own[at] == own {
		delete(r.own, at)
	}
}

func placeOf(own *cluster.Registration) place {
	self := own.Self()
	return place{name: self.Type, id: strings.TrimPrefix(self.ID, self.Type+"/")}
}

func (r *Registry) find(at place) *cluster.Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own[at]
}

// Deregister takes an instance that this registry registered out of the list; a
// Register that is at it returns an error. It is gone for this registry also when
// etcd could not be told within RevokeTimeout, which the error then says: its lease
// runs out.
func (r *Registry) Deregister(ctx context.Context, name, id string) error {
	if !r.running.Load() {
		return r.notRunning()
	}
	own := r.find(place{name, id})
	if own == nil {
		return fmt.Errorf("deregister %q of %q: %w", id, name, ErrNotRegistered)
	}
	err := own.Close(ctx)
	r.strike(own) // only now, so that it cannot be registered anew meanwhile
	if err != nil {
		return fmt.Errorf("deregister %s of %s: %w", id, name, err)
	}
	return nil
}

// Edit changes what a service's instance says of itself: its state (also to pause
// and resume it), weight, metadata, or addresses (as MetadataAddresses). It returns
// when etcd has it; what is said of an instance that is not in the list now, it
// says when it comes back. An instance of another registry is edited on behalf of an
// operator, and takes the change over; cluster.ErrServerUnknown: it is not known;
// cluster.ErrRevision: it was changed since IfRevision.
func (r *Registry) Edit(ctx context.Context, name, id string, e cluster.Edit) error {
	if joined := e.Metadata[MetadataAddresses]; joined != nil {
		if _, err := splitAddresses(*joined); err != nil {
			return fmt.Errorf("edit %q of %q: %w", id, name, err)
		}
	}
	if !r.running.Load() {
		return r.notRunning()
	}
	own := r.find(place{name, id})
	if own == nil || e.IfRevision != 0 {
		_, err := r.services.EditServer(ctx, name+"/"+id, e)
		return err
	}
	if err := own.Edit(ctx, e); err != nil {
		return fmt.Errorf("edit %s of %s: %w", id, name, err)
	}
	return nil
}

// lose tells that an instance cannot be had again, not on the goroutine that
// found out: whoever is told may deregister it, which waits for that one's end.
func (r *Registry) lose(own *cluster.Registration, why error) {
	if r.lost == nil {
		return
	}
	at := placeOf(own)
	r.group.Go("registry.lost", func(context.Context) {
		defer func() {
			if p := recover(); p != nil && r.log != nil {
				r.log.WithField("panic", p).WithField("stack", string(debug.Stack())).Error("the function told of a lost instance panicked")
			}
		}()
		r.lost(at.name, at.id, why)
	})
}
