package cluster

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoadProcessor(t *testing.T) {
	t.Parallel()
	all := time.Duration(runtime.GOMAXPROCS(0) * int(time.Second)) // of a second
	start := time.Now()
	s := &loadSampler{used: time.Second, at: start}
	for _, step := range []struct {
		name       string
		used, wall time.Duration // since the start
		share      float64
	}{
		{"half of all", time.Second + all/2, time.Second, 0.5},
		{"too soon to tell", time.Second + all/2 + 40*time.Millisecond, time.Second + 40*time.Millisecond, 0.5},
		{"nothing", time.Second + all/2, 2 * time.Second, 0},
		{"more than there is", time.Second + 10*all, 3 * time.Second, 1},
		{"unknown", 0, 4 * time.Second, 0},
	} {
		require.InDelta(t, step.share, s.processor(step.used, start.Add(step.wall)), 1e-9, step.name)
	}
}

// TestLoadMeasuresThisProcess: a busy loop shows.
func TestLoadMeasuresThisProcess(t *testing.T) {
	t.Parallel()
	s := newLoadSampler()
	if s.used == 0 {
		t.Skip("the operating system does not tell")
	}
	busy := time.Now()
	eventually(t, func() bool {
		for processorTime()-s.used < 100*time.Millisecond && time.Since(busy) < patience {
			_ = strings.Repeat("x", 1<<10)
		}
		return s.measure().CPU > 0
	}, "work shows")
	l := s.measure()
	require.Greater(t, l.Memory, uint64(1<<20))
	require.Positive(t, l.Goroutines)
}
