package session

import (
	"context"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/sirupsen/logrus"
)

// Params are what a session is made of.
type Params struct {
	ID       int64  // unique on its frontend, see Pool.NextID
	UID      string // "" for unbound
	Frontend string // id of the server that holds the connection
	// Backend makes a stand-in: Set then waits for Save, Bind goes out by Entity.
	Backend    bool
	Handshake  *protocol.HandshakeRequest // nil on a backend
	RemoteAddr net.Addr                   // nil on a backend
	// Certificate is the client's own, verified; nil without one.
	Certificate *x509.Certificate
	// Data is a JSON object; empty and null mean {}. The session keeps the slice.
	Data    []byte
	Context context.Context //nolint:containedctx // parent of Session.Context; nil is context.Background()
	Entity  Entity          // required
	Log     logrus.FieldLogger
}

// Session is one player, or the stand-in for one. All methods are safe for
// concurrent use.
type Session struct {
	id          int64
	frontend    string
	backend     bool
	handshake   *protocol.HandshakeRequest
	addr        net.Addr
	certificate *x509.Certificate
	entity      Entity
	log         logrus.FieldLogger
	parent      context.Context      //nolint:containedctx // of the life
	life        atomic.Pointer[life] // nil until somebody asks for Context; set under mu

	// mu guards everything below. It is held for a few instructions, and never
	// while code of others runs.
	mu      sync.Mutex
	binding bool // a Bind or an Unbind is under way and owns uid
	closed  bool
	over    bool // closed, and the connection was told
	uid     string
	reason  string // why it closed
	pool    *Pool  // the pool it is in
	hooks   []func(*Session)
	data    data
	unsaved *unsaved           // backends only, nil until the first Set
	written map[writing]uint64 // frontends only: the last version of each server's changes of a key; nil until the first Merge with one
}

// New makes a session. It fails when Data is not a JSON object; the error is
// [errs.CodeUnavailable] as wire.md 9.5 has it.
func New(p Params) (*Session, error) {
	s := &Session{
		id: p.ID, uid: p.UID, frontend: p.Frontend, backend: p.Backend,
		handshake: p.Handshake, addr: p.RemoteAddr, certificate: p.Certificate, entity: p.Entity, log: p.Log, parent: p.Context,
	}
	if s.parent == nil {
		s.parent = context.Background()
	}
	if err := s.data.load(p.Data); err != nil {
		return nil, errs.Wrap(errs.CodeUnavailable, err)
	}
	return s, nil
}

// ID is the session's number on its frontend, from 1; it is not used again as
// long as that server runs.
func (s *Session) ID() int64 { return s.id }

// Frontend is the id of the server that holds the client's connection.
func (s *Session) Frontend() string { return s.frontend }

// Handshake is what the client said at first; nil on a backend.
func (s *Session) Handshake() *protocol.HandshakeRequest { return s.handshake }

// Certificate is the client's own certificate, if it has shown one that was
// verified; nil on a backend. Do not change it.
func (s *Session) Certificate() *x509.Certificate { return s.certificate }

// RemoteAddr is the address of the client; nil on a backend.
func (s *Session) RemoteAddr() net.Addr { return s.addr }

// Entity is what the session was made with, for those who made it: it may
// implement more than the interface.
func (s *Session) Entity() Entity { return s.entity }

// UID is the user that the session is bound to, "" before. A closed session
// keeps it, so that OnClose hooks know who left.
func (s *Session) UID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uid
}

// InFlight are the routes of the client's messages that wait, run or were
// forwarded and have no outcome yet, in no particular order; with the caller's own
// where a handler asks. On a backend there are none.
func (s *Session) InFlight() []string {
	if e, ok := s.entity.(interface{ InFlight() []string }); ok {
		return e.InFlight()
	}
	return nil
}

// Push sends v to the client under route. v goes through the app's serializer,
// []byte as it is. nil means accepted, not received. [errs.ErrClosed] when the
// session is closed; from a backend the session must be bound, else
// [errs.ErrNotBound].
func (s *Session) Push(ctx context.Context, route string, v any) error {
	if s.isClosed() {
		return errs.ErrClosed
	}
	return s.entity.Push(ctx, route, v)
}

// Kick tells the client that it was kicked and why, and closes its connection.
// On a backend the session must be bound, else [errs.ErrNotBound].
func (s *Session) Kick(ctx context.Context, reason string) error {
	if s.isClosed() {
		return errs.ErrClosed
	}
	return s.entity.Kick(ctx, s, reason)
}
