package dispatch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	address "github.com/cereus-game/cereus/route"
)

// attempt is one sending of an idempotent call, which does not wait for a
// server that somebody finds gone.
type attempt struct{ cancel context.CancelCauseFunc }

// errFoundGone ends an attempt at a server that is not there any more.
var errFoundGone = errs.New(errs.CodeUnavailable, "the server is gone: the call may have run there").With("maybe", "true")

// try sends an idempotent call to one server, which has so much time to answer.
func (d *Dispatcher) try(ctx context.Context, to *cluster.Server, c OutgoingCall, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	t, a := d.target(to), &attempt{cancel}
	t.watch(a)
	defer t.unwatch(a)
	data, err := d.call(ctx, to, c)
	if errors.Is(err, errFoundGone) {
		return nil, errFoundGone
	}
	return data, err
}

func (t *target) watch(a *attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idempotent == nil {
		t.idempotent = make(map[*attempt]struct{})
	}
	t.idempotent[a] = struct{}{}
}

func (t *target) unwatch(a *attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.idempotent, a)
}

// giveUp ends the idempotent calls that wait for the server.
func (t *target) giveUp() {
	t.mu.Lock()
	attempts := t.idempotent
	t.idempotent = nil
	t.mu.Unlock()
	for a := range attempts {
		a.cancel(errFoundGone)
	}
}

// again reports whether a call with this outcome, which may have run, is to be
// sent once more.
func again(ctx context.Context, err error) bool {
	return (cluster.IsTimedOut(err) || cluster.IsMaybe(err)) && ctx.Err() == nil
}

// callAgain is callAny for an idempotent call: it also leaves a server that
// does not answer, or may be gone, for another one, as long as there is time. A
// server that is not the last one gets half of what is left.
func (d *Dispatcher) callAgain(ctx context.Context, to address.Route, c OutgoingCall) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Timeout)
	defer cancel()
	var tried []targetKey
	var lost error
	for {
		server, err := d.choose(ctx, to, c, tried)
		if err != nil {
			return nil, cmp.Or(lost, err)
		}
		data, err := d.try(ctx, server, c, d.portion(ctx, to.ServerType, tried))
		switch {
		case cluster.IsMoved(err):
			continue
		case cluster.IsGone(err):
			d.Metrics.RPCFailover()
		case turnedDown(err) && lost == nil:
			lost = err
			d.Metrics.RPCFailover()
		case again(ctx, err):
			lost = err
			d.Metrics.RPCRetry()
		default:
			return data, err
		}
		tried = append(tried, keyOf(server))
	}
}

// portion is how much of the time that is left the next server gets.
func (d *Dispatcher) portion(ctx context.Context, serverType string, tried []targetKey) time.Duration {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if len(without(d.candidates(serverType), tried)) > 1 {
		return left / 2
	}
	return left
}
