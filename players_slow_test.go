package cereus_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/session"
)

// sleeper has a handler that sleeps until it is woken.
type sleeper struct {
	wake   chan struct{}
	asleep atomic.Int64
}

func (s *sleeper) Routes(r *component.Routes) {
	component.HandleRaw(r, "sleep", func(_ context.Context, b []byte) ([]byte, error) {
		s.asleep.Add(1)
		<-s.wake
		return b, nil
	})
	component.HandleRaw(r, "echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
}

// TestS10_FiftySlowCalls: of ten players, here and on a backend. The others are
// answered as fast as before, and nobody loses his connection. It does not run
// beside other tests, which would be felt.
func TestS10_FiftySlowCalls(t *testing.T) {
	w := newWorld(t)
	s := &sleeper{wake: make(chan struct{})}
	game := func(app *cereus.App) { require.NoError(t, app.Register(s, component.WithName("s"))) }
	w.start(server{kind: "room", game: game})
	front := w.start(server{kind: "gate", front: true, game: game})
	sees(t, front, "room", 1)
	others := make([]*player, 20)
	for i := range others {
		others[i] = dial(t, front)
	}
	answerTimes(t, others) // the first time costs more
	quiet := answerTimes(t, others)

	var slow sync.WaitGroup
	for i := range 10 {
		p := dial(t, front)
		for range 5 {
			slow.Go(func() {
				if _, err := p.ask([]string{"s.sleep", "room.s.sleep"}[i%2], "x"); err != nil {
					t.Errorf("a slow call: %v", err)
				}
			})
		}
	}
	until(t, "they sleep", func() bool { return s.asleep.Load() == 10 })
	lag := watchStalls(t)
	during := answerTimes(t, others)
	for range 4 { // the machine may have been at something else
		if during < 2*quiet {
			break
		}
		during = min(during, answerTimes(t, others))
	}
	t.Logf("p99 of the others: %v quiet, %v beside fifty slow calls", quiet, during)
	require.Less(t, during, 2*quiet+lag.most(), "they would wait as long as the slow ones sleep")
	require.Equal(t, len(others)+10, front.Sessions())
	close(s.wake)
	slow.Wait()
}

// answerTimes has every player ask one after the other, here and on a backend,
// and returns the 99th percentile.
func answerTimes(t *testing.T, players []*player) time.Duration {
	t.Helper()
	var mu sync.Mutex // guards took
	var took []time.Duration
	var all sync.WaitGroup
	for _, p := range players {
		all.Go(func() {
			for i := range 100 {
				began := time.Now()
				_, err := p.ask([]string{"s.echo", "room.s.echo"}[i%2], "x")
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				if err != nil {
					t.Errorf("a healthy client: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	return percentile(took, 99)
}

// sized answers with as many bytes as it is asked for, behind a small push.
type sized struct{}

func (sized) Routes(r *component.Routes) {
	component.HandleRaw(r, "get", func(ctx context.Context, size []byte) ([]byte, error) {
		n, err := strconv.Atoi(string(size))
		if s, ok := session.FromContext(ctx); ok && err == nil {
			err = s.Push(ctx, "onProgress", []byte("soon"))
		}
		return make([]byte, n), err
	})
}

// TestS11_ClientsThatReadAreNotSlow: however much they ask for at a time, of the
// frontend, with the limits of the default configuration.
func TestS11_ClientsThatReadAreNotSlow(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: func(app *cereus.App) {
		require.NoError(t, app.Register(sized{}, component.WithName("sized")))
	}})
	for range 3 {
		for size, atOnce := range map[int]int{1: 300, 60 << 10: 64, 1500 << 10: 3} {
			p := dial(t, app)
			var all sync.WaitGroup
			for range atOnce {
				all.Go(func() {
					for range 3 {
						if _, err := p.ask("sized.get", strconv.Itoa(size)); err != nil {
							t.Errorf("an answer of %d bytes, %d of them asked for at once: %v", size, atOnce, err)
							return
						}
					}
				})
			}
			all.Wait()
			_ = p.Close()
		}
	}
}
