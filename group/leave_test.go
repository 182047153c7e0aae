package group

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// A hold that comes while an earlier one is found to be over stays.
func TestANewHoldIsNotForgottenWithTheOld(t *testing.T) {
	t.Parallel()
	for range 100_000 {
		l := newLeaver()
		l.hold("g", "ann", 1)
		var both errgroup.Group
		both.Go(func() error { l.left("g", "ann", 1); return nil })
		both.Go(func() error { l.hold("g", "ann", 2); return nil })
		require.NoError(t, both.Wait())
		require.Equal(t, map[string]int64{"g": 2}, l.holds("ann"))
	}
}
