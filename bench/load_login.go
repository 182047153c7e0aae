package main

import (
	"context"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// loginLoad is a storm of players.
type loginLoad struct {
	Target  target
	Players int    // that come at the same time
	Prefix  string // of their uids; "" ends with the handshake
	First   int    // logins that are not measured
	Logins  int    // that are
}

// login times connections with a handshake and, with a prefix, a bind, and keeps
// them open.
func (h *idlers) login(ctx context.Context, p loginLoad) (loadResult, error) {
	began := time.Now()
	run := strconv.FormatInt(began.UnixNano(), 36) // nobody comes twice
	all := int64(p.First + p.Logins)
	var next counter
	work, ctx := errgroup.WithContext(ctx)
	for range p.Players {
		work.Go(func() error {
			for n := next.Add(1); n <= all; n = next.Add(1) {
				if n == int64(p.First)+1 {
					began = time.Now()
				}
				l, err := p.login(ctx, int(n), run+"-"+strconv.FormatInt(n, 10))
				if err != nil {
					return err
				}
				h.keep(l)
			}
			return nil
		})
	}
	err := work.Wait()
	return loadResult{Rate: float64(p.Logins) / time.Since(began).Seconds(), Total: all}, err
}

func (p loginLoad) login(ctx context.Context, n int, uid string) (*link, error) {
	l, err := dial(ctx, p.Target, &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+n/connsOfSource))})
	if err != nil || p.Prefix == "" {
		return l, err
	}
	if err := l.request(routeBind, []byte(p.Prefix+uid)); err != nil {
		l.reset()
		return nil, err
	}
	return l, nil
}
