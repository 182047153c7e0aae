package cluster

import (
	"sync"
	"sync/atomic"
)

// announcement is what this server says of itself: the value that was last
// known to be in etcd, and the edits of it that are not there yet.
type announcement struct {
	current atomic.Pointer[Server] // with all edits

	mu      sync.Mutex // guards what follows
	base    *Server
	sent    Edit // being written
	next    Edit // to be written after that
	waiting []chan error
}

func newAnnouncement(self *Server) *announcement {
	a := &announcement{base: self}
	a.current.Store(self)
	return a
}

// edit notes an edit. The channel, which has room, is told when it was written
// or could not be.
func (a *announcement) edit(e Edit) (<-chan error, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := e.of(a.current.Load())
	if err := next.fits(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	if next.equal(a.current.Load()) && a.sent.empty() && a.next.empty() {
		done <- nil // etcd has it
		return done, nil
	}
	a.next = a.next.then(e)
	a.current.Store(next)
	a.waiting = append(a.waiting, done)
	return done, nil
}

// dirty reports whether there is something to write.
func (a *announcement) dirty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.sent.empty() || !a.next.empty()
}

// send is the value to write now, with every edit so far.
func (a *announcement) send() *Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent, a.next = a.sent.then(a.next), Edit{}
	return a.current.Load()
}

// written notes that value is in etcd.
func (a *announcement) written(value *Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.base, a.sent = value, Edit{}
	if a.next.empty() {
		a.answer(nil)
	}
}

// failed has those who wait know that their edits are not in etcd yet.
func (a *announcement) failed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer(err)
}

func (a *announcement) answer(err error) {
	for _, done := range a.waiting {
		done <- err
	}
	a.waiting = nil
}

// name gives a server without an id one.
func (a *announcement) name(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.base = a.base.withID(id)
	a.current.Store(a.current.Load().withID(id))
}

// adopt takes over what somebody else made of this server in etcd, under the
// edits that are not there yet.
func (a *announcement) adopt(held *Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := a.base.clone()
	base.Metadata, base.Weight = held.Metadata, held.Weight
	if (Edit{State: held.state()}).validate() == nil { // not our own goodbye
		base.State = held.state()
	}
	a.base = base
	a.current.Store(a.sent.then(a.next).of(base))
}
