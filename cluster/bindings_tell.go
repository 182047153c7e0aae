package cluster

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// How long one attempt to tell takes, the pauses between them, and how many
// users one frontend is told of at the same time.
const (
	tellTimeout = time.Second
	firstTell   = 20 * time.Millisecond
	lastTell    = 300 * time.Millisecond
	tellers     = 32
)

// news are what a run of a frontend has to hear: binds that took users from it.
type news struct {
	server, nonce string
	untold        []bindNews
}

// bindNews is one of them.
type bindNews struct {
	*clusterpb.BindMsg
	at time.Time // of the bind
}

// tell lets the frontend that had the user before know, until it has heard it or
// is gone. One that lost its lease meanwhile compares its sessions itself.
func (b *Bindings) tell(before *Binding, m *clusterpb.BindMsg) {
	item := bindNews{m, time.Now().Add(-time.Duration(m.GetAgeUs()) * time.Microsecond)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.untold[before.Nonce]; n != nil {
		n.untold = append(n.untold, item)
		return
	}
	n := &news{server: before.ServerID, nonce: before.Nonce, untold: []bindNews{item}}
	b.untold[n.nonce] = n
	b.group.Go("bindings tell", func(ctx context.Context) { b.tellAll(ctx, n) })
}

// tellAll tells the news until nothing is left, or nobody is there to hear it.
func (b *Bindings) tellAll(ctx context.Context, n *news) {
	wait := newBackoff(firstTell, lastTell)
	for {
		some := b.unheard(n)
		if len(some) == 0 {
			return
		}
		left := b.tellSome(ctx, n, some)
		if len(left) == 0 {
			wait.Reset()
			continue
		}
		b.mu.Lock()
		n.untold = append(left, n.untold...)
		b.mu.Unlock()
		if !pause(ctx, wait.NextBackOff()) {
			return
		}
	}
}

// unheard takes the next of the news, and ends them when there are none or the
// frontend is gone.
func (b *Bindings) unheard(n *news) (some []bindNews) {
	to, ok := b.params.Discovery.Server(n.server)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ok || to.Nonce != n.nonce || len(n.untold) == 0 {
		delete(b.untold, n.nonce)
		return nil
	}
	some, n.untold = n.untold, nil
	return some
}

// tellSome tells one after the other, some at the same time, until one does not
// arrive. It returns what is left, with those that were tried at the end.
func (b *Bindings) tellSome(ctx context.Context, n *news, some []bindNews) []bindNews {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(tellers)
	heard, tried := make([]bool, len(some)), 0
	for ; tried < len(some) && ctx.Err() == nil; tried++ {
		i := tried
		work.Go(func() (err error) {
			heard[i], err = b.tellOne(n, some[i])
			return err
		})
	}
	_ = work.Wait() // it is tried again
	left := some[tried:]
	for i, item := range some[:tried] {
		if !heard[i] {
			left = append(left, item)
		}
	}
	return left
}

// tellOne reports whether the frontend has heard it, or never will.
func (b *Bindings) tellOne(n *news, item bindNews) (heard bool, err error) {
	to, ok := b.params.Discovery.Server(n.server)
	if !ok {
		return true, nil
	}
	item.AgeUs = time.Since(item.at).Microseconds() // its user may have come back there meanwhile
	_, err = b.ask(b.group.Context(), to, item.BindMsg)
	if err == nil || errs.CodeOf(err) == errs.CodeNotFound || !present(to) && IsGone(err) {
		return true, nil
	}
	return false, err
}

func (b *Bindings) ask(ctx context.Context, to *Server, m *clusterpb.BindMsg) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return b.params.Ask(ctx, to, m)
}
