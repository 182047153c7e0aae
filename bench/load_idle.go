package main

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// idleLoad is connections that do nothing after their handshake.
type idleLoad struct {
	Target target
	Conns  int
}

const (
	dialers       = 16
	connsOfSource = 5_000 // of one source address, well below the ports it has
)

// idlers are the connections that a load process holds open.
type idlers struct {
	mu    sync.Mutex // guards links
	links []*link
}

func (h *idlers) open(ctx context.Context, p idleLoad) (int, error) {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(dialers)
	for i := range p.Conns {
		work.Go(func() error {
			source := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/connsOfSource))}
			l, err := dial(ctx, p.Target, source)
			if err != nil {
				return err
			}
			h.keep(l)
			return nil
		})
	}
	err := work.Wait()
	return len(h.links), err
}

func (h *idlers) keep(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links = append(h.links, l)
}

// bindLoad is a login on every connection that is open.
type bindLoad struct{ Prefix string }

// bind logs everybody in.
func (h *idlers) bind(ctx context.Context, p bindLoad) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(dialers)
	for i, l := range h.links {
		work.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return l.request(routeBind, []byte(p.Prefix+strconv.Itoa(i)))
		})
	}
	return len(h.links), work.Wait()
}

// reset closes without leaving the port in use: the next run needs it.
func (l *link) reset() {
	raw := l.Conn
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

func (h *idlers) close(context.Context, struct{}) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.links)
	for _, l := range h.links {
		l.reset()
	}
	h.links = nil
	return n, nil
}
