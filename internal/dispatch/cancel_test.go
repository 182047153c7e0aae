package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
)

// link is one server of a chain: it calls the next one, or waits at the end.
type link struct {
	self *node
	next string // route; "": the end

	began chan struct{}
	ended chan error // the cause of its context's end
}

func (l *link) Routes(r *component.Routes) {
	component.RemoteRaw(r, "on", l.on)
	component.RemoteRaw(r, "late", l.late)
}

func (l *link) on(ctx context.Context, b []byte) ([]byte, error) {
	close(l.began)
	if l.next != "" {
		data, err := l.self.d.RPC(ctx, OutgoingCall{Route: l.next})
		l.ended <- context.Cause(ctx)
		return data, err
	}
	<-ctx.Done()
	l.ended <- context.Cause(ctx)
	return b, ctx.Err()
}

// late asks only after the caller is gone.
func (l *link) late(ctx context.Context, b []byte) ([]byte, error) {
	close(l.began)
	for !ctx.(*callContext).in.Cancelled() {
		select {
		case <-time.After(tick):
		case <-l.self.d.group.Context().Done():
			return nil, nil
		}
	}
	if ctx.Err() != context.Canceled {
		return nil, errors.New("the context does not say so")
	}
	l.ended <- context.Cause(ctx)
	return b, nil
}

// chain is servers of the types a, b and c; the remotes of a call those of b.
func chain(t *testing.T) (*node, [3]*link) {
	w := newWorld(t)
	w.limits.Timeout = patience
	var links [3]*link
	types, next := []string{"a", "b", "c"}, []string{"b.link.on", "c.link.on", ""}
	for i := range links {
		l := &link{next: next[i], began: make(chan struct{}), ended: make(chan error, 1)}
		w.register = func(table *component.Table) error { return table.RegisterRemote(l, component.WithName("link")) }
		links[i], l.self = l, w.start(types[i]+"-1", types[i])
	}
	w.register = nil
	front := w.start("front-1", "front")
	for _, l := range links {
		front.sees(l.self)
		for _, other := range links {
			l.self.sees(other.self)
		}
	}
	return front, links
}

// N02: who takes a call back ends everything that was done for it.
func TestN02_ACancelledChainEnds(t *testing.T) {
	t.Parallel()
	front, links := chain(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := front.d.RPC(ctx, OutgoingCall{Route: "a.link.on"})
		done <- err
	}()
	<-links[2].began
	begin := time.Now()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	for _, l := range links {
		require.ErrorIs(t, <-l.ended, errs.ErrCancelled)
	}
	require.Less(t, time.Since(begin), patience/2)
}

func TestN02_AskingAfterTheCancel(t *testing.T) {
	t.Parallel()
	front, links := chain(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := front.d.RPC(ctx, OutgoingCall{Route: "a.link.late"})
		done <- err
	}()
	<-links[0].began
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.ErrorIs(t, <-links[0].ended, errs.ErrCancelled)
}

// N02: a call that waits for its turn is not started when it was taken back.
func TestN02_CancelledWorkIsNotStarted(t *testing.T) {
	t.Parallel()
	_, g, front, room := frontSeesRoom(t)
	var first sync.WaitGroup
	first.Go(func() { _, _ = front.ask(room, patience, forwarded("room.game.hold", 1)) })
	g.runs(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := front.d.client.Call(ctx, room.self, forwarded("room.game.echo", 2))
		gone <- err
	}()
	box, _ := room.d.mailboxes.Load(mailboxKey{"front-1", "n", 7})
	var waiting *job
	require.Eventually(t, func() bool {
		box.mu.Lock()
		defer box.mu.Unlock()
		if len(box.queue) == 1 {
			waiting = box.queue[0]
		}
		return waiting != nil
	}, patience, tick)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	require.Eventually(t, waiting.in.Cancelled, patience, tick)
	g.open()
	first.Wait()
	_, err := front.ask(room, patience, forwarded("room.game.echo", 3))
	require.NoError(t, err)
	require.EqualValues(t, 1, g.calls.Load(), "what nobody waits for ran")
}
