package acceptor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

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
	if err := s.prepareTLS(); err != nil {
		return err
	}
	s.mu.Lock()
	claimed := !s.listened && !s.closed
	s.listened = true
	s.mu.Unlock()
	if !claimed {
		return ErrListened
	}
	l, err := bind()
	if err != nil {
		s.mu.Lock()
		s.listened = false
		s.mu.Unlock()
		return err
	}
	return s.install(l)
}

func (s *server) install(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
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
	return errors.Join(err, s.openings.Stop(context.Background()))
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

// Serve accepts until Close, see Acceptor.
func (s *server) Serve(handle func(*Conn)) error {
	s.mu.Lock()
	l, closed := s.listener, s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	if l == nil {
		return ErrNotListening
	}
	var wait backoff
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(nc, handle)
		case s.isClosing():
			return nil
		case !passing(err):
			return fmt.Errorf("acceptor: accept on %s: %w", s.address, err)
		default:
			s.options.metrics.AcceptFailed()
			wait = wait.next()
			s.options.log.WithError(err).WithField("retry", time.Duration(wait)).Warn("accept failed, trying again")
			if !s.pause(time.Duration(wait)) {
				return nil
			}
		}
	}
}

func (s *server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pause waits for d and reports true, or false when the acceptor is closed.
func (s *server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}

// backoff is the wait after a failed accept: 5 ms, doubling, up to 1 s.
type backoff time.Duration

func (b backoff) next() backoff {
	return min(max(2*b, backoff(5*time.Millisecond)), backoff(time.Second))
}

// passing reports whether an accept may succeed later.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.EINTR, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit takes a connection in. It does not wait for the client.
func (s *server) admit(nc net.Conn, handle func(*Conn)) {
	s.options.metrics.Accepted()
	if n := s.open.Add(1); s.options.most > 0 && n > s.options.most {
		s.refuse(nc, RefusedFull, nil)
		return
	}
	if s.opensAtOnce() {
		o := opening{server: s, nc: nc}
		c, err := o.conn()
		if err != nil {
			s.refuse(nc, RefusedStop, err)
			return
		}
		s.start(c, handle)
		return
	}
	if !s.openings.Go("opening", func(ctx context.Context) { s.openThenStart(ctx, nc, handle) }) {
		s.refuse(nc, RefusedStop, nil)
	}
}

func (s *server) opensAtOnce() bool {
	return s.tls == nil && s.options.proxy == nil && s.kind != TransportWebSocket
}

// openThenStart runs the handshakes. The connection then gets a goroutine of
// its own, because handshakes make stacks grow.
func (s *server) openThenStart(ctx context.Context, nc net.Conn, handle func(*Conn)) {
	o := opening{server: s, nc: nc}
	c, why, err := o.run(ctx)
	if err != nil {
		s.refuse(nc, why, err)
		return
	}
	s.start(c, handle)
}

func (s *server) start(c *Conn, handle func(*Conn)) {
	if !s.handles.Go("connection", func(context.Context) { s.run(c, handle) }) {
		s.refuse(c.nc, RefusedStop, nil)
	}
}

func (s *server) run(c *Conn, handle func(*Conn)) {
	defer s.finish(c)
	handle(c)
}

// finish cleans up after handle, also when it panicked.
func (s *server) finish(c *Conn) {
	status := CloseStatus{}
	if v := recover(); v != nil {
		status.Code = CloseInternal
		s.options.log.WithFields(map[string]any{
			"panic": v, "stack": string(debug.Stack()), "remote": c.remote.String(),
		}).Error("connection handler panicked")
	}
	_ = c.Close(status)
	c.in.uncharge()
	s.open.Add(-1)
	s.options.metrics.Closed()
}

func (s *server) refuse(nc net.Conn, why Refusal, err error) {
	s.shared.turnAway(nc)
	s.open.Add(-1)
	s.options.metrics.Refused(why)
	s.options.log.WithError(err).WithField("reason", string(why)).Debug("connection refused")
}
