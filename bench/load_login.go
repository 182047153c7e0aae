package main

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// loginLoad is players who come at the same time, again and again.
type loginLoad struct {
	Target  target
	Players int    // that come at the same time
	Prefix  string // of their uids; "" ends with the handshake
	WarmUp  time.Duration
	Time    time.Duration
}

// loginsHeld is how many stay connected; then the first one leaves for each that comes.
const loginsHeld = 8_000

// runLogins counts connections with a handshake and, with a prefix, a bind.
func runLogins(ctx context.Context, p loginLoad) (loadResult, error) {
	var stop atomic.Bool
	counters := make([]counter, p.Players)
	hall := &hall{places: make([]*link, loginsHeld)}
	defer hall.empty()
	run := strconv.FormatInt(time.Now().UnixNano(), 36) // nobody comes twice
	work, ctx := errgroup.WithContext(ctx)
	for i := range p.Players {
		work.Go(func() error {
			for !stop.Load() && ctx.Err() == nil {
				n := counters[i].Load()
				l, err := p.login(ctx, i, run+"-"+strconv.Itoa(i)+"-"+strconv.FormatInt(n, 10))
				if err != nil {
					return err
				}
				hall.enter(l)
				counters[i].Add(1)
			}
			return nil
		})
	}
	rate := measure(ctx, p.WarmUp, p.Time, func() int64 { return sum(counters) })
	stop.Store(true)
	err := work.Wait()
	return loadResult{Rate: rate, Total: sum(counters)}, err
}

func (p loginLoad) login(ctx context.Context, i int, uid string) (*link, error) {
	l, err := dial(ctx, p.Target, &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%16))})
	if err != nil || p.Prefix == "" {
		return l, err
	}
	if err := l.request(routeBind, []byte(p.Prefix+uid)); err != nil {
		l.reset()
		return nil, err
	}
	return l, nil
}

// hall is who is connected, in the order in which they came.
type hall struct {
	mu     sync.Mutex // guards what follows
	places []*link
	next   int
}

func (h *hall) enter(l *link) {
	h.mu.Lock()
	old := h.places[h.next]
	h.places[h.next] = l
	h.next = (h.next + 1) % len(h.places)
	h.mu.Unlock()
	if old != nil {
		old.reset()
	}
}

func (h *hall) empty() {
	for _, l := range h.places {
		if l != nil {
			l.reset()
		}
	}
}
