package acceptor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// closeWait is how long Close waits for handshakes to end, which are told to.
const closeWait = time.Second

// server is what the acceptors have in common.
type server struct {
	kind    string // transport without TLS
	address string
	options options
	faults  error // of the options
	tls     *tls.Config
	shared  *shared

	openings *lifecycle.Group // handshakes under way
	handles  *lifecycle.Group // connections
	open     atomic.Int64     // connections, handshakes included
	closing  chan struct{}

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	listened bool
	closed   bool
}

func newServer(kind, address string, opts []Option) *server {
	o, faults := newOptions(opts)
	s := &server{
		kind:     kind,
		address:  address,
		options:  o,
		faults:   faults,
		shared:   &shared{limits: o.limits},
		openings: lifecycle.NewGroup(context.Background()),
		handles:  lifecycle.NewGroup(context.Background()),
		closing:  make(chan struct{}),
	}
	s.shared.memory.budget = o.budget
	return s
}

// listen claims the only Listen and runs bind.
func (s *server) listen(bind func() (net.Listener, error)) error {
	if s.faults != nil {
		return s.faults
	}
	if !s.claim() {
		return ErrListened
	}
	err := s.prepareTLS()
	var l net.Listener
	if err == nil {
		l, err = bind()
	}
	return s.install(l, err)
}

func (s *server) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	claimed := !s.listened && !s.closed
	s.listened = true
	return claimed
}

// install ends what claim began; after an error Listen may be tried again.
func (s *server) install(l net.Listener, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.listened = false
		return err
	case s.closed:
		_ = l.Close()
		return ErrListened
	}
	s.listener = l
	return nil
}

func (s *server) prepareTLS() error {
	s.tls = s.options.tls
	if f := s.options.files; f != nil {
		if err := f.load(s.options.log); err != nil {
			return err
		}
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.latest}
	}
	if s.options.clients != nil {
		return s.options.clients.apply(s.tls)
	}
	return nil
}

// Addr is the address that is listened on, nil before Listen succeeded.
func (s *server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Close stops accepting and ends handshakes under way, see Acceptor.
func (s *server) Close() error {
	s.mu.Lock()
	l, first := s.listener, !s.closed
	s.closed = true
	s.mu.Unlock()
	var err error
	if first {
		close(s.closing)
		if l != nil {
			err = l.Close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	_ = s.openings.Stop(ctx) // what hangs in a callback of a tls.Config is Wait's to wait for
	return err
}

// Wait waits for Close and for every handle, see Acceptor.
func (s *server) Wait(ctx context.Context) error {
	select {
	case <-s.closing:
	case <-ctx.Done():
		return fmt.Errorf("acceptor: not closed: %w", context.Cause(ctx))
	}
	if err := s.openings.Stop(ctx); err != nil {
		return err
	}
	return s.handles.Stop(ctx)
}

// Connections is the number of open connections, those in their handshakes
// included.
func (s *server) Connections() int { return int(s.open.Load()) }
