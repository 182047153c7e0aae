package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

// Bounds of waiting for others.
const (
	dialTimeout  = 10 * time.Second
	closeTimeout = 20 * time.Second
)

// Proxy forwards connections to a target. Its methods may be called from any
// goroutine and take effect at once.
type Proxy struct {
	addr  string
	work  *lifecycle.Group
	up    direction
	down  direction
	total atomic.Int64 // connections accepted

	mu       sync.Mutex // guards the rest
	target   string
	listener net.Listener  // nil while connections are refused
	accepted chan struct{} // closed when everything that the last listener accepted is among links
	links    map[*link]struct{}
	paused   bool // new connections start frozen
	closed   bool
}

// New starts a proxy on a free loopback port which forwards to target
// (host:port) until the test ends.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Start is New for callers that are not tests; they must Close the proxy.
func Start(target string) (*Proxy, error) {
	l, err := loopback.Listen()
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{
		addr:   l.Addr().String(),
		work:   lifecycle.NewGroup(context.Background()),
		target: target,
		links:  make(map[*link]struct{}),
	}
	p.serve(l)
	return p, nil
}

// Addr is the address that clients dial, as host:port. It never changes.
func (p *Proxy) Addr() string { return p.addr }

// SetTarget changes where new connections lead.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Close cuts every connection and waits for the end of all goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.Refuse()
	p.Cut(RST)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if stopErr := p.work.Stop(ctx); stopErr != nil {
		return errors.Join(err, fmt.Errorf("faultproxy: %w", stopErr))
	}
	return err
}

// Stats is what went through a proxy so far.
type Stats struct {
	Accepted  int64 // connections accepted
	Open      int   // connections open now
	BytesUp   int64 // delivered from clients to the target
	BytesDown int64 // delivered from the target to clients
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := len(p.links)
	p.mu.Unlock()
	return Stats{
		Accepted:  p.total.Load(),
		Open:      open,
		BytesUp:   p.up.bytes.Load(),
		BytesDown: p.down.bytes.Load(),
	}
}

func (p *Proxy) serve(l net.Listener) {
	accepted := make(chan struct{})
	p.mu.Lock()
	p.listener, p.accepted = l, accepted
	closed := p.closed
	p.mu.Unlock()
	if closed || !p.work.Go("accept", func(context.Context) { p.accept(l); close(accepted) }) {
		_ = l.Close()
		close(accepted)
	}
}

// accept admits connections until l is closed by Refuse or Close.
func (p *Proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.total.Add(1)
		k := newLink(conn.(*net.TCPConn))
		target, ok := p.admit(k)
		if !ok || !p.work.Go("link", func(ctx context.Context) { p.connect(ctx, k, target) }) {
			k.cut(RST)
			p.remove(k)
		}
	}
}

// connect reaches the target for a client. When the target refuses, so does
// the proxy, as far as it can after having accepted: with a reset.
func (p *Proxy) connect(ctx context.Context, k *link, target string) {
	defer p.remove(k)
	if !k.gate.pass(ctx, k.ended) {
		k.cut(RST)
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		k.cut(RST)
		return
	}
	k.join(server.(*net.TCPConn))
	pipes := lifecycle.NewGroup(ctx)
	k.run(pipes, p)
	_ = pipes.Stop(context.Background())
}

func (p *Proxy) admit(k *link) (target string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", false
	}
	if p.paused {
		k.gate.shut()
	}
	p.links[k] = struct{}{}
	return p.target, true
}

func (p *Proxy) remove(k *link) {
	p.mu.Lock()
	delete(p.links, k)
	p.mu.Unlock()
	k.close()
}

// open returns the links of this moment.
func (p *Proxy) open() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	links := make([]*link, 0, len(p.links))
	for k := range p.links {
		links = append(links, k)
	}
	return links
}
