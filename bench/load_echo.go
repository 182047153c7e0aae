package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// echoLoad is a load of requests with a window per connection.
type echoLoad struct {
	Target   target
	Route    string
	Conns    int
	InFlight int // of each connection, below 128
	Payload  int
	WarmUp   time.Duration
	Time     time.Duration
}

// loadResult is what a load measured.
type loadResult struct {
	Rate  float64 // per second, while it was measured
	Total int64   // with the warm-up and the end
}

// counter has a cache line of its own.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// runEcho keeps every window full for the time and counts responses.
func runEcho(ctx context.Context, p echoLoad) (loadResult, error) {
	counters, stop := make([]counter, p.Conns), new(atomic.Bool)
	links := make([]*link, p.Conns)
	for i := range links {
		l, err := dial(ctx, p.Target, nil)
		if err != nil {
			return loadResult{}, err
		}
		defer func() { _ = l.Close() }()
		if err := l.SetDeadline(time.Now().Add(p.WarmUp + p.Time + patience/2)); err != nil {
			return loadResult{}, err
		}
		links[i] = l
	}
	work, ctx := errgroup.WithContext(ctx)
	for i, l := range links {
		work.Go(func() error { return l.pump(p, &counters[i], stop) })
	}
	rate := measure(ctx, p.WarmUp, p.Time, func() int64 { return sum(counters) })
	stop.Store(true)
	err := work.Wait()
	return loadResult{Rate: rate, Total: sum(counters)}, err
}

func sum(counters []counter) (n int64) {
	for i := range counters {
		n += counters[i].Load()
	}
	return n
}

// measure is how fast count rises per second, after the warm-up.
func measure(ctx context.Context, warmUp, d time.Duration, count func() int64) float64 {
	pause(ctx, warmUp)
	start, before := time.Now(), count()
	pause(ctx, d)
	return float64(count()-before) / time.Since(start).Seconds()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pump answers every response with the next request, all that one read brought
// with one write.
func (l *link) pump(p echoLoad, answered *counter, stop *atomic.Bool) error {
	ring, size, err := l.ring(p)
	if err != nil {
		return err
	}
	if _, err := l.Write(ring[:p.InFlight*size]); err != nil {
		return err
	}
	at, pending := 0, p.InFlight
	for pending > 0 {
		n, err := l.receive(flagResponse)
		if err != nil {
			return err
		}
		answered.Add(int64(n))
		if stop.Load() {
			pending -= n
			continue
		}
		if n > pending {
			return fmt.Errorf("%d responses to %d requests", n, pending)
		}
		if n == 0 {
			continue
		}
		if _, err := l.Write(ring[at*size:][:n*size]); err != nil {
			return err
		}
		at = (at + n) % p.InFlight
	}
	return nil
}

// ring is a window of requests, twice, so that any part of it is in one piece.
func (l *link) ring(p echoLoad) (ring []byte, size int, err error) {
	for id := range p.InFlight {
		packet, err := requestPacket(uint64(id+1), p.Route, bytes.Repeat([]byte{'x'}, p.Payload))
		if err != nil {
			return nil, 0, err
		}
		ring = l.frame(ring, packet)
	}
	return append(ring, ring...), len(ring) / p.InFlight, nil
}
