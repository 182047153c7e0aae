package dispatch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
)

// traffic is callers that go on until they are told to stop.
type traffic struct {
	stop     chan struct{}
	callers  sync.WaitGroup
	answered atomic.Int64

	mu     sync.Mutex // guards failed
	failed map[errs.Code]int
}

// run has call made again and again. Who is refused makes a short pause.
func (r *traffic) run(call func() error) {
	r.callers.Go(func() {
		pause := time.NewTimer(0)
		defer pause.Stop()
		for {
			if err := call(); err != nil {
				r.refused(err)
				pause.Reset(tick)
				select {
				case <-pause.C:
				case <-r.stop:
				}
			} else {
				r.answered.Add(1)
			}
			select {
			case <-r.stop:
				return
			default:
			}
		}
	})
}

func (r *traffic) refused(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[errs.CodeOf(err)]++
}

// N12: a server stops while it is busy, a hundred times: what it accepted it
// answers, what comes later is refused with a code, and nothing is lost.
func TestN12_ShutdownUnderTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	refusals := make(map[errs.Code]int)
	for round := range 100 {
		before := g.calls.Load()
		room := w.start(fmt.Sprint("room-", round), "room")
		front.sees(room)
		r := &traffic{stop: make(chan struct{}), failed: make(map[errs.Code]int)}
		for range 3 {
			r.run(func() error {
				_, err := front.d.RPC(context.Background(), OutgoingCall{Route: "room.rem.echo", Payload: []byte("x")})
				return err
			})
			p, id := w.player(front), uint64(0)
			r.run(func() error {
				id++
				p.request(id, "room.game.echo")
				if failure := p.answer(t, id); failure != nil {
					return failure
				}
				return nil
			})
		}
		r.run(func() error { // one that goes on calling the server itself
			_, err := front.d.callOne(context.Background(), room.self, "room.rem.echo", []byte("x"))
			return err
		})
		require.Eventually(t, func() bool { return r.answered.Load() > 20 }, patience, tick)
		room.stop(front)
		require.Eventually(t, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.failed) > 0
		}, patience, tick, "nobody noticed")
		close(r.stop)
		r.callers.Wait()
		require.Equal(t, r.answered.Load(), g.calls.Load()-before, "what ran and what was answered")
		for code, n := range r.failed {
			require.Contains(t, []errs.Code{errs.CodeUnavailable}, code, "round %d", round)
			refusals[code] += n
		}
	}
	t.Log("refused:", refusals)
}
