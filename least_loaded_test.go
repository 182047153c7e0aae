package cereus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/router"
)

// workshop has four places, and each piece of work takes so long.
type workshop struct {
	places chan struct{}
	work   time.Duration
}

func (s *workshop) Routes(r *component.Routes) { component.RemoteRaw(r, "work", s.do) }

func (s *workshop) do(ctx context.Context, _ []byte) ([]byte, error) {
	s.places <- struct{}{}
	defer func() { <-s.places }()
	return []byte("done"), idle(ctx, s.work)
}

// TestLeastLoadedBeatsRandomInACluster is TestLeastLoadedBeatsRandom of package
// router with real servers and the load that App.LoadOf tells: two callers, each
// with its own knowledge, and one server of three that is ten times slower.
func TestLeastLoadedBeatsRandomInACluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 3 {
		s := &workshop{places: make(chan struct{}, 4), work: 10 * time.Millisecond}
		if i == 1 {
			s.work *= 10
		}
		w.start(server{kind: "room", id: fmt.Sprint("room-", i), config: telling(100 * time.Millisecond), game: func(app *cereus.App) {
			require.NoError(t, app.RegisterRemote(s, component.WithName("workshop")))
		}})
	}
	callers := make([]*cereus.App, 2)
	for i := range callers {
		callers[i] = w.start(server{kind: "match"})
		sees(t, callers[i], "room", 3)
	}
	random := p99(t, callers)
	for _, app := range callers {
		require.NoError(t, app.SetRouter("room", 0, router.LeastLoaded(app.LoadOf)))
	}
	least := p99(t, callers)
	t.Logf("p99 %v at random, %v least loaded: better by %.1f", random, least, float64(random)/float64(least))
	require.Greater(t, random, 2*least)
}

// p99 is of 600 calls of all callers, which come as they come: 300 in a second,
// a third of what the servers could do were none slow.
func p99(t *testing.T, callers []*cereus.App) time.Duration {
	t.Helper()
	took := make([]time.Duration, 600)
	var calls sync.WaitGroup
	due := time.Now()
	for i := range took {
		due = due.Add(time.Duration(rand.ExpFloat64() * float64(time.Second) / 300))
		require.NoError(t, idle(t.Context(), time.Until(due)))
		calls.Go(func() {
			begin := time.Now()
			_, err := cereus.Call[[]byte](t.Context(), callers[i%len(callers)], "room.workshop.work", []byte(nil))
			took[i] = time.Since(begin)
			if err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}
