package constants_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/constants"
)

func TestVersionIsSemantic(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^\d+\.\d+\.\d+(-[a-z0-9.]+)?$`, constants.Version)
}

// Peers of other makes know these names (wire.md 9.3): they never change.
func TestMetadataKeysAreThoseOfTheWire(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		[]string{"peer.id", "peer.service", "request.id", "req-route", "req-start-time", "reqTimeout", "metric-tags", "otel-span", "opentracing-span"},
		[]string{
			constants.PeerIDKey, constants.PeerServiceKey, constants.RequestIDKey, constants.RouteKey, constants.StartTimeKey,
			constants.TimeoutKey, constants.MetricTagsKey, constants.OtelSpanKey, constants.OpenTracingSpanKey,
		})
}
