package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// callLoad is callers that each wait for the answer before they call again.
type callLoad struct {
	Callers int
	Payload int
	WarmUp  time.Duration
	Time    time.Duration
}

// runCalls measures call.
func runCalls(ctx context.Context, p callLoad, call func(ctx context.Context, data []byte) ([]byte, error)) (loadResult, error) {
	counters := make([]counter, p.Callers)
	var stop atomic.Bool
	data := bytes.Repeat([]byte{'x'}, p.Payload)
	work, ctx := errgroup.WithContext(ctx)
	for i := range p.Callers {
		work.Go(func() error {
			for !stop.Load() {
				reply, err := call(ctx, data)
				if err != nil {
					return err
				}
				if len(reply) != len(data) {
					return fmt.Errorf("sent %d bytes, got %d", len(data), len(reply))
				}
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

// call is RPC from this server to a backend.
func (s *server) call(ctx context.Context, p callLoad) (loadResult, error) {
	return runCalls(ctx, p, func(ctx context.Context, data []byte) (reply []byte, err error) {
		err = s.app.RPC(ctx, routeForward, &reply, data)
		return reply, err
	})
}

// goCalls is calls through cluster.RPCClient.Go, as forwarding makes them: their
// window is kept full by one goroutine, and nobody waits for a single one.
func (s *server) goCalls(ctx context.Context, p callLoad) (result loadResult, err error) {
	c, err := s.client(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, c.close(context.WithoutCancel(ctx))) }()
	to := s.app.Discovery().ServersByType(typeBack)[0]
	req := c.request(bytes.Repeat([]byte{'x'}, p.Payload))
	var answered counter
	var fault atomic.Pointer[error]
	free := make(chan struct{}, p.Callers)
	done := func(resp *clusterpb.Response, err error) {
		if err == nil && len(resp.GetData()) != p.Payload {
			err = fmt.Errorf("sent %d bytes, got %d", p.Payload, len(resp.GetData()))
		}
		if err != nil {
			fault.Store(&err)
		}
		answered.Add(1)
		<-free
	}
	var stop atomic.Bool
	var work errgroup.Group
	work.Go(func() error {
		for !stop.Load() && fault.Load() == nil {
			free <- struct{}{}
			c.stamp(req)
			c.rpc.Go(to, req, 0, done)
		}
		for range cap(free) {
			free <- struct{}{}
		}
		return nil
	})
	result.Rate = measure(ctx, p.WarmUp, p.Time, answered.Load)
	stop.Store(true)
	err = work.Wait()
	result.Total = answered.Load()
	if f := fault.Load(); f != nil {
		err = *f
	}
	return result, err
}

// natsSettings are the start of the role "nats".
type natsSettings struct {
	URL    string
	Answer bool
}

// rawNATS is a plain user of NATS.
type rawNATS struct{ conn *nats.Conn }

func startNATS(_ context.Context, s natsSettings) (*rawNATS, error) {
	conn, err := nats.Connect(s.URL)
	if err != nil {
		return nil, err
	}
	if s.Answer {
		if _, err := conn.Subscribe(routeEcho, func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
			return nil, err
		}
	}
	return &rawNATS{conn}, conn.FlushTimeout(patience)
}

func (n *rawNATS) call(ctx context.Context, p callLoad) (loadResult, error) {
	return runCalls(ctx, p, func(_ context.Context, data []byte) ([]byte, error) {
		m, err := n.conn.Request(routeEcho, data, patience)
		if err != nil {
			return nil, err
		}
		return m.Data, nil
	})
}
