package metrics_test

import (
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/metrics"
)

// fresh makes metrics of a server of type room.
func fresh(t testing.TB) *metrics.Metrics {
	t.Helper()
	m, err := metrics.New(metrics.Params{Game: "g", ServerType: "room"})
	require.NoError(t, err)
	return m
}

// series are the metrics of one name by their labels but game and serverType.
func series(t *testing.T, m *metrics.Metrics, name string) map[string]*dto.Metric {
	t.Helper()
	families, err := m.Registry().Gather()
	require.NoError(t, err)
	found := map[string]*dto.Metric{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := ""
			for _, l := range metric.GetLabel() {
				if l.GetName() != "game" && l.GetName() != "serverType" {
					labels += fmt.Sprintf("%s=%s ", l.GetName(), l.GetValue())
				}
			}
			found[labels] = metric
		}
	}
	return found
}

// value is a counter or gauge.
func value(t *testing.T, m *metrics.Metrics, name, labels string) float64 {
	t.Helper()
	metric := series(t, m, name)[labels]
	require.NotNil(t, metric, "%s{%s}", name, labels)
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
}

func TestEventsAreCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, labels string
		report       func(m *metrics.Metrics)
		want         float64
	}{
		{"pitaya_acceptor_connected_clients", "", func(m *metrics.Metrics) { m.ConnectionOpened(); m.ConnectionOpened(); m.ConnectionClosed("slow") }, 1},
		{"cereus_connections_opened_total", "", (*metrics.Metrics).ConnectionOpened, 1},
		{"cereus_connections_closed_total", "reason=slow ", func(m *metrics.Metrics) { m.ConnectionClosed("slow") }, 1},
		{"pitaya_acceptor_exceeded_rate_limiting", "", (*metrics.Metrics).RateLimited, 1},
		{"cereus_protocol_errors_total", "kind=short ", func(m *metrics.Metrics) { m.ProtocolError("short") }, 1},
		{"cereus_mailbox_full_total", "", (*metrics.Metrics).MailboxFull, 1},
		{"cereus_write_queue_slow_total", "", (*metrics.Metrics).WriteQueueSlow, 1},
		{"cereus_panics_total", "where=handler ", func(m *metrics.Metrics) { m.Panic("handler") }, 1},
		{"cereus_pushes_total", "outcome=queued ", func(m *metrics.Metrics) { m.Pushes("queued", 3); m.Pushes("queued", 0); m.Pushes("queued", -1) }, 3},
		{"cereus_rpc_calls_total", "outcome=ok ", func(m *metrics.Metrics) { m.RPCCall("ok") }, 1},
		{"cereus_rpc_failovers_total", "", (*metrics.Metrics).RPCFailover, 1},
		{"cereus_rpc_malformed_total", "", (*metrics.Metrics).RPCMalformed, 1},
		{"cereus_rpc_conflicts_total", "", (*metrics.Metrics).RPCConflict, 1},
		{"cereus_rpc_busy_total", "", (*metrics.Metrics).RPCBusy, 1},
		{"cereus_rpc_expired_total", "", (*metrics.Metrics).RPCExpired, 1},
		{"pitaya_rpc_server_dropped_messages", "", func(m *metrics.Metrics) { m.RPCDropped(); m.RPCDropped() }, 2},
		{"cereus_nats_connected", "connection=client ", func(m *metrics.Metrics) { m.NATSUp("client") }, 1},
		{"cereus_nats_connected", "connection=client ", func(m *metrics.Metrics) { m.NATSUp("client"); m.NATSDown("client") }, 0},
		{"cereus_nats_reconnects_total", "", (*metrics.Metrics).NATSReconnected, 1},
		{"pitaya_service_discovery_count_servers", "type=room ", func(m *metrics.Metrics) { m.SetServers("room", 9); m.SetServers("room", 7) }, 7},
		{"cereus_connections_refused_total", "reason=full ", func(m *metrics.Metrics) { m.ConnectionRefused("full") }, 1},
		{"cereus_accept_failures_total", "", (*metrics.Metrics).AcceptFailed, 1},
		{"cereus_sd_relists_total", "", (*metrics.Metrics).SDRelisted, 1},
		{"cereus_sd_lease_losses_total", "", (*metrics.Metrics).SDLeaseLost, 1},
		{"cereus_sd_bad_entries_total", "", (*metrics.Metrics).SDBadEntry, 1},
		{"cereus_sd_stale", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{stale: true}) }, 1},
		{"cereus_sd_stale", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{}) }, 0},
		{"cereus_sd_connected", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{connected: true}) }, 1},
		{"cereus_sd_registered", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{registered: true}) }, 1},
		{"cereus_sd_leader", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{leader: true}) }, 1},
		{"cereus_sd_leader", "", func(m *metrics.Metrics) { m.WatchDiscovery(view{}) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := fresh(t)
			c.report(m)
			require.InDelta(t, c.want, value(t, m, c.name, c.labels), 0)
		})
	}
}

func TestNilMetricsAreOff(t *testing.T) {
	t.Parallel()
	var m *metrics.Metrics
	m.ConnectionOpened()
	m.ConnectionClosed("x")
	m.RateLimited()
	m.ProtocolError("x")
	m.MailboxFull()
	m.WriteQueueSlow()
	m.Panic("x")
	m.Pushes("x", 1)
	m.RPCCall("x")
	m.RPCFailover()
	m.RPCMalformed()
	m.RPCConflict()
	m.RPCBusy()
	m.RPCExpired()
	m.RPCDropped()
	m.NATSUp("x")
	m.NATSDown("x")
	m.NATSReconnected()
	m.SetServers("x", 1)
	m.SDRelisted()
	m.SDLeaseLost()
	m.SDBadEntry()
	m.WatchDiscovery(view{})
	m.ConnectionRefused("x")
	m.AcceptFailed()
	require.True(t, m.RegisterRoute("a.b.c"))
	m.Route("a.b.c").Answered(metrics.KindLocal, time.Second, "")
	m.Route("a.b.c").WaitedLocal(time.Second)
	m.Route("a.b.c").WaitedRemote(time.Second)
	require.NoError(t, m.Report("x", nil, 1))
	require.NoError(t, m.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", Help: "x"})))
	families, err := m.Registry().Gather()
	require.NoError(t, err)
	require.Empty(t, families)
}

func TestEveryMetricHasTheLabelsOfTheServer(t *testing.T) {
	t.Parallel()
	m, err := metrics.New(metrics.Params{
		Game: "g", ServerType: "room",
		ConstLabels: map[string]string{"region": "eu"}, AdditionalLabels: map[string]string{"shard": "none"},
	})
	require.NoError(t, err)
	m.RPCBusy()
	require.Contains(t, series(t, m, "cereus_rpc_busy_total"), "region=eu shard=none ")
	families, err := m.Registry().Gather()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, name := range []string{"pitaya_sys_goroutines", "pitaya_sys_heapsize", "pitaya_sys_heapobjects", "go_goroutines"} {
		require.True(t, names[name], name)
	}
}

func TestTwoAppsDoNotMeet(t *testing.T) {
	t.Parallel()
	a, b := fresh(t), fresh(t)
	a.RPCBusy()
	require.InDelta(t, 1, value(t, a, "cereus_rpc_busy_total", ""), 0)
	require.InDelta(t, 0, value(t, b, "cereus_rpc_busy_total", ""), 0)
}

// view is a discovery view in the given state.
type view struct {
	stale, connected, registered, leader bool
	synced                               time.Time
}

func (v view) Stale() bool         { return v.stale }
func (v view) IsConnected() bool   { return v.connected }
func (v view) Registered() bool    { return v.registered }
func (v view) IsLeader() bool      { return v.leader }
func (v view) LastSync() time.Time { return v.synced }

func TestLastSyncIsAnAge(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	require.Empty(t, series(t, m, "cereus_sd_last_sync_seconds"))
	m.WatchDiscovery(view{synced: time.Now().Add(-time.Minute)})
	require.InDelta(t, 60, value(t, m, "cereus_sd_last_sync_seconds", ""), 30)
}

func TestRouteTimes(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	require.True(t, m.RegisterRoute("room.lobby.join"))
	r := m.Route("room.lobby.join")
	r.Answered(metrics.KindForward, 2*time.Millisecond, "")
	r.Answered(metrics.KindForward, 4*time.Millisecond, "PIT-404")
	r.Answered(metrics.KindLocal, time.Millisecond, "")
	r.WaitedRemote(time.Microsecond)

	durations := series(t, m, "cereus_request_duration_seconds")
	require.Len(t, durations, 2, "a kind that does not occur has no series")
	require.EqualValues(t, 2, durations["kind=forward route=room.lobby.join "].GetHistogram().GetSampleCount())
	require.InDelta(t, .006, durations["kind=forward route=room.lobby.join "].GetHistogram().GetSampleSum(), 1e-9)

	responses := series(t, m, "pitaya_handler_response_time_ns")
	for labels, want := range map[string]float64{
		"code= route=room.lobby.join status=ok type=handler ":            3e6, // the local and the forwarded one
		"code= route=room.lobby.join status=ok type=rpc ":                2e6,
		"code=PIT-404 route=room.lobby.join status=failed type=handler ": 4e6,
		"code=PIT-404 route=room.lobby.join status=failed type=rpc ":     4e6,
	} {
		require.Contains(t, responses, labels)
		require.InDelta(t, want, responses[labels].GetSummary().GetSampleSum(), 1)
	}
	require.Len(t, responses, 4)
	require.Contains(t, series(t, m, "pitaya_handler_handler_delay_ns"), "route=room.lobby.join type=remote ")
	require.Len(t, series(t, m, "cereus_handler_delay_seconds"), 1)
}

func TestS27_UnknownRoutesShareTheirSeries(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	for i := range 10_000 {
		m.Route(fmt.Sprint("room.made.up", i)).Answered(metrics.KindLocal, time.Millisecond, "PIT-404")
	}
	durations := series(t, m, "cereus_request_duration_seconds")
	require.Len(t, durations, 1)
	require.EqualValues(t, 10_000, durations["kind=local route=unknown "].GetHistogram().GetSampleCount())
}

func TestS27_SeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	registered := 0
	for i := range 3_000 {
		name := fmt.Sprint("n", i)
		if m.RegisterRoute(name) {
			registered++
		}
		m.Route(name).Answered(metrics.KindRPC, time.Millisecond, name)
		m.Route("n0").Answered(metrics.KindRPC, time.Millisecond, name)
		m.ConnectionClosed(name)
		m.SetServers(name, 1)
	}
	require.Equal(t, 1_000, registered)
	require.True(t, m.RegisterRoute("n999"), "already there")
	require.Len(t, series(t, m, "cereus_request_duration_seconds"), 1_001)
	closed := series(t, m, "cereus_connections_closed_total")
	require.Len(t, closed, 65)
	require.InDelta(t, 3_000-64, closed["reason=other "].GetCounter().GetValue(), 0)
	require.Len(t, series(t, m, "pitaya_service_discovery_count_servers"), 257)
	codes := 0
	for labels := range series(t, m, "pitaya_handler_response_time_ns") {
		if len(labels) > 0 && containsRoute(labels, "n0") {
			codes++
		}
	}
	require.Equal(t, 34, codes, "32 codes, other, and ok")
}

func containsRoute(labels, route string) bool {
	var code, got, status, kind string
	_, _ = fmt.Sscanf(labels, "code=%s route=%s status=%s type=%s", &code, &got, &status, &kind)
	if got == "" { // no code
		_, _ = fmt.Sscanf(labels, "code= route=%s", &got)
	}
	return got == route
}

func TestConcurrentUseCountsEverything(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				name := fmt.Sprint("r", i%50)
				m.RegisterRoute(name)
				m.Route(name).Answered(metrics.KindLocal, time.Millisecond, fmt.Sprint("C", (i+g)%5))
				m.ProtocolError(name)
			}
		})
	}
	wg.Wait()
	var requests uint64
	for _, s := range series(t, m, "cereus_request_duration_seconds") {
		requests += s.GetHistogram().GetSampleCount()
	}
	require.EqualValues(t, 4_000, requests)
	faults := 0.0
	for _, s := range series(t, m, "cereus_protocol_errors_total") {
		faults += s.GetCounter().GetValue()
	}
	require.InDelta(t, 4_000, faults, 0)
}

func TestCustomMetrics(t *testing.T) {
	t.Parallel()
	m, err := metrics.New(metrics.Params{
		AdditionalLabels: map[string]string{"shard": "none"},
		Custom: []metrics.Custom{
			{Type: metrics.Counter, Subsystem: "shop", Name: "purchases", Labels: []string{"item"}},
			{Type: metrics.Gauge, Name: "rooms"},
			{Type: metrics.Summary, Subsystem: "match", Name: "wait", Objectives: map[float64]float64{.5: .05}},
			{Type: metrics.Histogram, Subsystem: "match", Name: "size", Buckets: []float64{1, 2}},
		},
	})
	require.NoError(t, err)
	require.NoError(t, m.Report("purchases", map[string]string{"item": "hat"}, 2))
	require.NoError(t, m.Report("purchases", map[string]string{"item": "hat", "shard": "7"}, 3))
	require.NoError(t, m.Report("rooms", nil, 4))
	require.NoError(t, m.Report("wait", nil, 5))
	require.NoError(t, m.Report("size", nil, 1))
	require.InDelta(t, 2, value(t, m, "pitaya_shop_purchases", "item=hat shard=none "), 0)
	require.InDelta(t, 3, value(t, m, "pitaya_shop_purchases", "item=hat shard=7 "), 0)
	require.InDelta(t, 4, value(t, m, "pitaya_rooms", "shard=none "), 0)
	require.EqualValues(t, 1, series(t, m, "pitaya_match_wait")["shard=none "].GetSummary().GetSampleCount())
	require.EqualValues(t, 1, series(t, m, "pitaya_match_size")["shard=none "].GetHistogram().GetSampleCount())

	require.ErrorContains(t, m.Report("sales", nil, 1), "metrics.custom")
	require.ErrorContains(t, m.Report("rooms", map[string]string{"item": "hat"}, 1), `labels ["shard"] only`)
	require.Error(t, m.Report("purchases", nil, -1))
	require.Error(t, m.Report("purchases", map[string]string{"item": "\xff"}, 1))
}

func TestNewNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := metrics.New(metrics.Params{
		ConstLabels:      map[string]string{"game": "x", "9": "x", "ok": "x", "route": "x"},
		AdditionalLabels: map[string]string{"ok": "y"},
	})
	for _, want := range []string{`label "game"`, `label "9"`, `label "ok" of AdditionalLabels is already a label of ConstLabels`, `label "route"`} {
		require.ErrorContains(t, err, want)
	}
	_, err = metrics.New(metrics.Params{Custom: []metrics.Custom{
		{Type: "timer", Name: "a"},
		{Type: metrics.Gauge, Name: "b"}, {Type: metrics.Gauge, Name: "b"},
		{Type: metrics.Histogram, Name: "c", Buckets: []float64{2, 1}},
		{Type: metrics.Gauge, Subsystem: "acceptor", Name: "connected_clients"},
		{Type: metrics.Gauge, Name: "d", Labels: []string{"a-b"}},
	}})
	for _, want := range []string{`"a": type "timer"`, `named "b"`, `metric "c"`, `metric "connected_clients"`, `label "a-b"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestApplicationsCollectors(t *testing.T) {
	t.Parallel()
	m := fresh(t)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "mine_total", Help: "mine"})
	require.NoError(t, m.Register(c))
	require.ErrorContains(t, m.Register(c), "metrics: register a collector")
	require.Contains(t, series(t, m, "mine_total"), "")
}

func TestDocumentIsUpToDate(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	require.Equal(t, metrics.Document(), string(page), "docs/metrics.md is not what the package says: run go generate ./metrics")
}

// Not parallel: allocations are counted.
func TestObservingAllocatesNothing(t *testing.T) {
	m := fresh(t)
	m.RegisterRoute("room.lobby.join")
	observe := func() {
		r := m.Route("room.lobby.join")
		r.Answered(metrics.KindForward, time.Millisecond, "")
		r.Answered(metrics.KindLocal, time.Millisecond, "PIT-404")
		r.WaitedLocal(time.Millisecond)
		m.Route("nobody.knows.it").Answered(metrics.KindLocal, time.Millisecond, "")
		m.ConnectionOpened()
		m.ConnectionClosed("slow")
		m.RPCCall("ok")
	}
	observe()
	require.Zero(t, math.Trunc(testing.AllocsPerRun(1000, observe)))
}
