package embedded_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
)

func BenchmarkStartStop(b *testing.B) {
	for b.Loop() {
		c, err := embedded.Start(b.Context())
		require.NoError(b, err)
		require.NoError(b, c.Stop(b.Context()))
	}
}
