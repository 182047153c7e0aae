package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Bounds of the HTTP server. A CPU profile or trace may take up to writeTimeout.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 30 * time.Second
	maxHeader     = 8 << 10
)

// Pprof says whether profiles are served.
type Pprof int

// Profiles tell a lot about a process: serve them where only operators come.
const (
	WithoutPprof Pprof = iota
	WithPprof
)

// Params is what New needs.
type Params struct {
	// Address to listen on: host:port, or a bare port (":9090" or "9090"),
	// which is taken on loopback only. Empty is off.
	Address string
	// Checks tells how the parts of the app are. It is called for every
	// request of /readyz, from any goroutine, and must not block. Nil: always ready.
	Checks func() []Check
	// Degraded tells what does not work as it should while the app goes on, which
	// /healthz shows. It is called as Checks is. Nil: nothing is.
	Degraded func() []Check
	// Registry is what /metrics shows; nil is nothing.
	Registry prometheus.Gatherer
	// Pprof serves /debug/pprof/ too.
	Pprof Pprof
	// Token has the discovery API be served: requests carry it as their bearer token.
	// It has at least 16 bytes; empty is off.
	Token string
	// Discovery is what the discovery API is about; nil is off.
	Discovery Discovery
	// Load returns what is known of the load of a server, as something that
	// encoding/json can write. It is called for every server that is asked for and
	// must not block. Nil: nothing is known.
	Load func(id string) (load any, ok bool)
	// Log hears what goes wrong; nil is nobody.
	Log logrus.FieldLogger

	pace streamPace
}

// String shows where is listened, never the token.
func (p Params) String() string { return "admin on " + listenAddress(p.Address) }

// GoString is String.
func (p Params) GoString() string { return p.String() }

// Server is the admin address of an app, as a lifecycle.Module.
type Server struct {
	address string
	weak    bool // the token is too short; it is not kept
	log     logrus.FieldLogger
	http    *http.Server
	group   *lifecycle.Group

	mu       sync.Mutex // guards listener
	listener net.Listener
}

var _ lifecycle.Module = (*Server)(nil)

// New returns a server that listens once Init is called.
func New(p Params) *Server {
	if p.Log == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		p.Log = silent
	}
	return &Server{
		address: listenAddress(p.Address),
		weak:    p.Token != "" && len(p.Token) < minToken,
		log:     p.Log,
		http: &http.Server{
			Handler:           newMux(p),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          log.New(logWriter{p.Log}, "", 0),
		},
	}
}

// listenAddress puts a bare port on loopback.
func listenAddress(address string) string {
	if address == "" {
		return ""
	}
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	return address
}

// Name implements lifecycle.Module.
func (s *Server) Name() string { return "admin" }

// Init listens and serves, unless the address is empty.
func (s *Server) Init(ctx context.Context) error {
	if s.address == "" {
		return nil
	}
	if s.weak {
		return fmt.Errorf("the token of the discovery API (admin.token) is too short: use at least %d characters", minToken)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen on %s (admin.address): %w", s.address, err)
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	s.group = lifecycle.NewGroup(context.WithoutCancel(ctx))
	serving, stop := context.WithCancelCause(s.group.Context())
	s.http.BaseContext = func(net.Listener) context.Context { return serving }
	s.http.RegisterOnShutdown(func() { stop(lifecycle.ErrStopped) })
	s.group.Go("admin serve", func(context.Context) { s.serve(listener) })
	s.log.WithField("address", listener.Addr().String()).Info("admin listens")
	return nil
}

func (s *Server) serve(listener net.Listener) {
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.WithError(err).Error("admin stopped serving")
	}
}

// Addr is where the server listens, nil when it does not.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// AfterInit implements lifecycle.Module.
func (s *Server) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing: /readyz goes on telling that the app is not ready.
func (s *Server) BeforeShutdown(context.Context) {}

// Shutdown stops listening, ends recordings of profiles and streams of events, and
// waits for requests under way; when ctx ends first it cuts them off. It may be
// called more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.group == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), s.http.Close())
	}
	// Serve returns once the listener is closed, so this does not need ctx.
	return errors.Join(err, s.group.Stop(context.WithoutCancel(ctx)))
}

// logWriter turns the lines of net/http into log entries.
type logWriter struct{ log logrus.FieldLogger }

func (w logWriter) Write(line []byte) (int, error) {
	w.log.WithField("detail", strings.TrimSpace(string(line))).Warn("admin http server")
	return len(line), nil
}
