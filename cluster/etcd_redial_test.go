package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRedialsBecomeRare(t *testing.T) {
	t.Parallel()
	var p redialPace
	start := time.Now()
	var allowed []time.Duration
	for at := time.Duration(0); at < time.Minute; at += 100 * time.Millisecond {
		if p.allows(start.Add(at)) {
			allowed = append(allowed, at)
		}
	}
	s := time.Second
	require.Equal(t, []time.Duration{0, s, 3 * s, 7 * s, 15 * s, 25 * s, 35 * s, 45 * s, 55 * s}, allowed)
	later := start.Add(2 * time.Minute)
	require.True(t, p.allows(later))
	require.False(t, p.allows(later.Add(s/2)))
	require.True(t, p.allows(later.Add(s)), "a trouble of its own begins anew")
}
