package metrics_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/metrics"
)

// Codes come from applications and from other servers: one that is not UTF-8,
// which client_golang panics on, is counted under what can be shown of it.
func TestLabelsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	require.NotPanics(t, func() {
		m.RegisterRoute("room.lobby.\xff")
		m.Route("room.lobby.\xff").Answered(metrics.KindLocal, time.Millisecond, "E\xff")
		m.SetServers("ro\xffom", 2)
	})
	require.InDelta(t, 2, value(t, m, "pitaya_service_discovery_count_servers", "type=ro\uFFFDom "), 0)
}
