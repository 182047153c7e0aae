package cereus_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// long reports whether the long forms of the rows are asked for.
func long() bool { return os.Getenv("CEREUSTEST_ROWS") == "long" }

// seeded is a source of the choices of a test. CEREUSTEST_SEED repeats them.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("CEREUSTEST_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "CEREUSTEST_SEED")
	}
	t.Logf("CEREUSTEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// stalls is how late this process was at most to do what it had to: a machine
// with too much to do has nothing to say about times.
type stalls struct {
	mu    sync.Mutex // guards all
	all   []stall
	worst atomic.Int64
	end   chan struct{}
	over  chan struct{}
}

// stall is a time in which this process did nothing of what it had to.
type stall struct{ from, to time.Time }

const (
	stallTick = 2 * time.Millisecond
	stallNote = 10 * time.Millisecond // what is noted
)

// watchStalls looks until the test ends.
func watchStalls(t testing.TB) *stalls {
	s := &stalls{end: make(chan struct{}), over: make(chan struct{})}
	go s.watch()
	t.Cleanup(func() {
		close(s.end)
		<-s.over
	})
	return s
}

func (s *stalls) watch() {
	defer close(s.over)
	ticker := time.NewTicker(stallTick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-s.end:
			return
		case <-ticker.C:
			now := time.Now()
			s.note(last.Add(stallTick), now)
			last = now
		}
	}
}

func (s *stalls) note(due, now time.Time) {
	late := now.Sub(due)
	s.worst.Store(max(s.worst.Load(), int64(late)))
	if late < stallNote {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, stall{due, now})
}

// within reports whether the machine stalled in a time.
func (s *stalls) within(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.all, from, func(st stall, at time.Time) int { return st.to.Compare(at) })
	return i < len(s.all) && !s.all[i].from.After(to)
}

// most is the longest stall so far.
func (s *stalls) most() time.Duration { return time.Duration(s.worst.Load()) }

// percentile of durations, which it sorts; 0 of none.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(float64(len(all))*p/100))]
}
