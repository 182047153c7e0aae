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
	sent    Edit     // being written
	next    Edit     // to be written after that
	writing *writing // what those wait for whose edits are not there yet; nil when nobody does
}

// writing is the writing of some edits.
type writing struct {
	done chan struct{} // closed when err is set
	err  error
}

func newAnnouncement(self *Server) *announcement {
	a := &announcement{base: self}
	a.current.Store(self)
	return a
}

// edit notes an edit. What it returns is done when the edit was written or could
// not be; nil means that etcd has it.
func (a *announcement) edit(e Edit) (*writing, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := e.of(a.current.Load())
	if err := next.fits(); err != nil {
		return nil, err
	}
	if next.equal(a.current.Load()) && a.sent.empty() && a.next.empty() {
		return nil, nil
	}
	a.next = a.next.then(e.clone())
	a.current.Store(next)
	if a.writing == nil {
		a.writing = &writing{done: make(chan struct{})}
	}
	return a.writing, nil
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
	if a.writing != nil {
		a.writing.err = err
		close(a.writing.done)
		a.writing = nil
	}
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
