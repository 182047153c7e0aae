package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

// pitayaKeys are the keys of wire.md section 14 with a value that is not the
// default, and what reads it back; nil means that the key is accepted and ignored.
var pitayaKeys = []struct {
	key, value string
	want       any
	read       func(*config.Config) any
}{
	{"serializertype", "2", config.SerializerProtobuf, func(c *config.Config) any { return c.SerializerType }},
	{"defaultpipelines.structvalidation.enabled", "true", true, func(c *config.Config) any { return c.DefaultPipelines.StructValidation.Enabled }},
	{"heartbeat.interval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Heartbeat.Interval }},
	{"handler.messages.compression", "true", true, func(c *config.Config) any { return c.Handler.Messages.Compression }},
	{"buffer.agent.messages", "11", 11, func(c *config.Config) any { return c.Buffer.Agent.Messages }},
	{"buffer.agent.conntimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Buffer.Agent.ConnTimeout }},
	{"buffer.handler.localprocess", "20", nil, nil},
	{"buffer.handler.remoteprocess", "20", nil, nil},
	{"concurrency.handler.dispatch", "25", nil, nil},
	{"session.unique", "false", false, func(c *config.Config) any { return c.Session.Unique }},
	{"session.drain.enabled", "false", nil, nil},
	{"session.drain.timeout", "6h", nil, nil},
	{"session.drain.period", "5s", nil, nil},
	{"acceptor.proxyprotocol", "true", true, func(c *config.Config) any { return c.Acceptor.ProxyProtocol }},
	{"conn.ratelimiting.limit", "11", 11, func(c *config.Config) any { return c.Conn.RateLimiting.Limit }},
	{"conn.ratelimiting.interval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Conn.RateLimiting.Interval }},
	{"conn.ratelimiting.forcedisable", "true", true, func(c *config.Config) any { return c.Conn.RateLimiting.ForceDisable }},
	{"metrics.period", "15s", nil, nil},
	{"metrics.game", "g", "g", func(c *config.Config) any { return c.Metrics.Game }},
	{"metrics.constlabels", "a=1,b=2", map[string]string{"a": "1", "b": "2"}, func(c *config.Config) any { return c.Metrics.ConstLabels }},
	{"metrics.additionallabels", "a=1", map[string]string{"a": "1"}, func(c *config.Config) any { return c.Metrics.AdditionalLabels }},
	{"metrics.custom.summaries", `[{"Name":"n","Objectives":{"0.5":0.1}}]`, []config.CustomSummary{{Name: "n", Objectives: map[float64]float64{.5: .1}}}, func(c *config.Config) any { return c.Metrics.Custom.Summaries }},
	{"metrics.custom.histograms", `[{"name":"n","buckets":[1,2.5]}]`, []config.CustomHistogram{{Name: "n", Buckets: []float64{1, 2.5}}}, func(c *config.Config) any { return c.Metrics.Custom.Histograms }},
	{"metrics.custom.gauges", `[{"name":"n","subsystem":"s","help":"h","labels":["l"]}]`, []config.CustomMetric{{Subsystem: "s", Name: "n", Help: "h", Labels: []string{"l"}}}, func(c *config.Config) any { return c.Metrics.Custom.Gauges }},
	{"metrics.custom.counters", `[{"name":"n"}]`, []config.CustomMetric{{Name: "n"}}, func(c *config.Config) any { return c.Metrics.Custom.Counters }},
	{"metrics.prometheus.enabled", "true", true, func(c *config.Config) any { return c.Metrics.Prometheus.Enabled }},
	{"metrics.prometheus.port", "11", 11, func(c *config.Config) any { return c.Metrics.Prometheus.Port }},
	{"metrics.statsd.enabled", "false", nil, nil},
	{"metrics.statsd.host", "localhost:9125", nil, nil},
	{"metrics.statsd.prefix", "pitaya.", nil, nil},
	{"metrics.statsd.rate", "1", nil, nil},
	{"cluster.info.region", "eu", "eu", func(c *config.Config) any { return c.Cluster.Info.Region }},
	{"cluster.rpc.client.grpc.dialtimeout", "5s", nil, nil},
	{"cluster.rpc.client.grpc.lazyconnection", "false", nil, nil},
	{"cluster.rpc.client.grpc.requesttimeout", "5s", nil, nil},
	{"cluster.rpc.client.nats.connect", "nats://a:1", config.URLs("nats://a:1"), func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.Connect }},
	{"cluster.rpc.client.nats.connectiontimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.ConnectionTimeout }},
	{"cluster.rpc.client.nats.requesttimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.RequestTimeout }},
	{"cluster.rpc.client.nats.maxreconnectionretries", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.MaxReconnectionRetries }},
	{"cluster.rpc.client.nats.websocketcompression", "false", false, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.WebsocketCompression }},
	{"cluster.rpc.client.nats.reconnectjitter", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.ReconnectJitter }},
	{"cluster.rpc.client.nats.reconnectjittertls", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.ReconnectJitterTLS }},
	{"cluster.rpc.client.nats.reconnectwait", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.ReconnectWait }},
	{"cluster.rpc.client.nats.pinginterval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.PingInterval }},
	{"cluster.rpc.client.nats.maxpingsoutstanding", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Client.NATS.MaxPingsOutstanding }},
	{"cluster.rpc.server.grpc.port", "3434", nil, nil},
	{"cluster.rpc.server.nats.connect", "nats://a:1", config.URLs("nats://a:1"), func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.Connect }},
	{"cluster.rpc.server.nats.connectiontimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.ConnectionTimeout }},
	{"cluster.rpc.server.nats.maxreconnectionretries", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.MaxReconnectionRetries }},
	{"cluster.rpc.server.nats.services", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Server.Concurrency }},
	{"cluster.rpc.server.nats.buffer.messages", "75", nil, nil},
	{"cluster.rpc.server.nats.buffer.push", "100", nil, nil},
	{"cluster.rpc.server.nats.websocketcompression", "false", false, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.WebsocketCompression }},
	{"cluster.rpc.server.nats.reconnectjitter", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.ReconnectJitter }},
	{"cluster.rpc.server.nats.reconnectjittertls", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.ReconnectJitterTLS }},
	{"cluster.rpc.server.nats.reconnectwait", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.ReconnectWait }},
	{"cluster.rpc.server.nats.pinginterval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.PingInterval }},
	{"cluster.rpc.server.nats.maxpingsoutstanding", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Server.NATS.MaxPingsOutstanding }},
	{"cluster.rpc.server.loopbackenabled", "true", true, func(c *config.Config) any { return c.Cluster.RPC.Server.LoopbackEnabled }},
	{"cluster.sd.etcd.endpoints", "a:1,b:2", []string{"a:1", "b:2"}, func(c *config.Config) any { return c.Cluster.SD.Etcd.Endpoints }},
	{"cluster.sd.etcd.user", "u", "u", func(c *config.Config) any { return c.Cluster.SD.Etcd.User }},
	{"cluster.sd.etcd.pass", "p", config.Secret("p"), func(c *config.Config) any { return c.Cluster.SD.Etcd.Pass }},
	{"cluster.sd.etcd.dialtimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.DialTimeout }},
	{"cluster.sd.etcd.prefix", "x/", "x/", func(c *config.Config) any { return c.Cluster.SD.Etcd.Prefix }},
	{"cluster.sd.etcd.heartbeat.ttl", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.Heartbeat.TTL }},
	{"cluster.sd.etcd.heartbeat.log", "true", true, func(c *config.Config) any { return c.Cluster.SD.Etcd.Heartbeat.Log }},
	{"cluster.sd.etcd.syncservers.interval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.SyncServers.Interval }},
	{"cluster.sd.etcd.syncservers.parallelism", "11", 11, func(c *config.Config) any { return c.Cluster.SD.Etcd.SyncServers.Parallelism }},
	{"cluster.sd.etcd.revoke.timeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.Revoke.Timeout }},
	{"cluster.sd.etcd.grantlease.timeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.GrantLease.Timeout }},
	{"cluster.sd.etcd.grantlease.maxretries", "11", 11, func(c *config.Config) any { return c.Cluster.SD.Etcd.GrantLease.MaxRetries }},
	{"cluster.sd.etcd.grantlease.retryinterval", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.GrantLease.RetryInterval }},
	{"cluster.sd.etcd.shutdown.delay", "7s", 7 * time.Second, func(c *config.Config) any { return c.Cluster.SD.Etcd.Shutdown.Delay }},
	{"cluster.sd.etcd.servertypesblacklist", "a,b", []string{"a", "b"}, func(c *config.Config) any { return c.Cluster.SD.Etcd.ServerTypesBlacklist }},
	{"groups.etcd.endpoints", "a:1", []string{"a:1"}, func(c *config.Config) any { return c.Groups.Etcd.Endpoints }},
	{"groups.etcd.dialtimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Groups.Etcd.DialTimeout }},
	{"groups.etcd.prefix", "x/", "x/", func(c *config.Config) any { return c.Groups.Etcd.Prefix }},
	{"groups.etcd.transactiontimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Groups.Etcd.TransactionTimeout }},
	{"groups.memory.tickduration", "7s", 7 * time.Second, func(c *config.Config) any { return c.Groups.Memory.TickDuration }},
	{"modules.bindingstorage.etcd.endpoints", "a:1", []string{"a:1"}, func(c *config.Config) any { return c.Modules.BindingStorage.Etcd.Endpoints }},
	{"modules.bindingstorage.etcd.dialtimeout", "7s", 7 * time.Second, func(c *config.Config) any { return c.Modules.BindingStorage.Etcd.DialTimeout }},
	{"modules.bindingstorage.etcd.prefix", "x/", "x/", func(c *config.Config) any { return c.Modules.BindingStorage.Etcd.Prefix }},
	{"modules.bindingstorage.etcd.leasettl", "6h", 6 * time.Hour, func(c *config.Config) any { return c.Modules.BindingStorage.Etcd.LeaseTTL }},
	{"worker.redis.serverurl", "localhost:6379", nil, nil},
	{"worker.redis.pool", "10", nil, nil},
	{"worker.redis.password", "p", nil, nil},
	{"worker.namespace", "n", nil, nil},
	{"worker.concurrency", "1", nil, nil},
	{"worker.retry.enabled", "true", nil, nil},
	{"worker.retry.max", "2", nil, nil},
	{"worker.retry.exponential", "5", nil, nil},
	{"worker.retry.mindelay", "10", nil, nil},
	{"worker.retry.maxdelay", "10", nil, nil},
	{"worker.retry.maxrandom", "0", nil, nil},
	// Dead keys.
	{"cluster.sd.etcd.servertypeblacklist", "a", nil, nil},
	{"worker.redis.url", "localhost:6379", nil, nil},
	{"buffer.agent.writetimeout", "1s", nil, nil},
	// Keys renamed inside v2.
	{"metrics.constTags", "a=1", map[string]string{"a": "1"}, func(c *config.Config) any { return c.Metrics.ConstLabels }},
	{"metrics.additionalTags", "a=1", map[string]string{"a": "1"}, func(c *config.Config) any { return c.Metrics.AdditionalLabels }},
	{"metrics.prometheus.additionalTags", "a=1", map[string]string{"a": "1"}, func(c *config.Config) any { return c.Metrics.AdditionalLabels }},
	{"metrics.prometheus.additionalLabels", "a=1", map[string]string{"a": "1"}, func(c *config.Config) any { return c.Metrics.AdditionalLabels }},
	{"metrics.periodicMetrics.period", "15s", nil, nil},
	{"buffer.cluster.rpc.server.nats.messages", "75", nil, nil},
	{"buffer.cluster.rpc.server.nats.push", "100", nil, nil},
	{"concurrency.remote.service", "11", 11, func(c *config.Config) any { return c.Cluster.RPC.Server.Concurrency }},
	{"cluster.sd.etcd.syncserversparallelism", "11", 11, func(c *config.Config) any { return c.Cluster.SD.Etcd.SyncServers.Parallelism }},
}

func TestEveryPitayaKeyLoadsFromFileAndEnvironment(t *testing.T) {
	t.Parallel()
	for _, k := range pitayaKeys {
		t.Run(k.key, func(t *testing.T) {
			t.Parallel()
			var yaml strings.Builder
			parts := strings.Split("pitaya."+k.key, ".")
			for i, part := range parts {
				fmt.Fprintf(&yaml, "%s%s:", strings.Repeat(" ", i), part)
				if i == len(parts)-1 {
					fmt.Fprintf(&yaml, " %s", k.value)
				}
				yaml.WriteByte('\n')
			}
			variable := strings.ToUpper(strings.ReplaceAll("pitaya."+k.key, ".", "_")) + "=" + k.value
			for _, options := range []config.Options{
				{Root: "pitaya", Reader: strings.NewReader(yaml.String()), Env: noEnv},
				{Root: "pitaya", Env: env(variable)},
				{Root: "pitaya", Env: noEnv, Overrides: map[string]any{k.key: k.value}},
			} {
				cfg, report, err := config.Load(options)
				require.NoError(t, err)
				if k.read == nil {
					require.Len(t, report.Ignored, 1)
					require.Contains(t, report.Ignored[0].Text, "is ignored: ")
					unset, _, err := config.Load(config.Options{Root: "pitaya", Env: noEnv})
					require.NoError(t, err)
					require.Equal(t, report.Ignored, cfg.Notes())
					require.EqualExportedValues(t, *unset, *cfg)
					continue
				}
				require.Empty(t, report.Ignored)
				require.Equal(t, k.want, k.read(cfg))
			}
		})
	}
}

func TestPitayaFileLoadsUnchanged(t *testing.T) {
	t.Parallel()
	cfg, report, err := config.Load(config.Options{Root: "pitaya", File: "testdata/pitaya.yaml", Env: noEnv})
	require.NoError(t, err)
	want, _, err := config.Load(config.Options{Root: "pitaya", Env: noEnv})
	require.NoError(t, err)
	want.SerializerType = config.SerializerProtobuf
	want.Heartbeat.Interval = time.Minute
	want.Handler.Messages.Compression = true
	want.Buffer.Agent.Messages = 100
	want.Conn.RateLimiting.Limit, want.Conn.RateLimiting.Interval = 40, 2*time.Second
	want.Admin.Address = "0.0.0.0:9191"
	want.Metrics = config.Metrics{
		Game:             "shooter",
		ConstLabels:      map[string]string{"region": "eu", "stack": "green"},
		AdditionalLabels: map[string]string{"shard": "none"},
		Prometheus:       config.Prometheus{Enabled: true, Port: 9191},
		Custom: config.CustomMetrics{
			Summaries:  []config.CustomSummary{{Subsystem: "match", Name: "wait", Help: "time to a match", Objectives: map[float64]float64{.7: .02, .95: .005}}},
			Histograms: []config.CustomHistogram{{Subsystem: "match", Name: "size", Help: "players", Buckets: []float64{1, 2, 4.5, 8}}},
			Gauges:     []config.CustomMetric{},
			Counters:   []config.CustomMetric{{Subsystem: "shop", Name: "purchases", Help: "what was bought", Labels: []string{"item"}}},
		},
	}
	want.Cluster.Info.Region = "eu-west"
	client := &want.Cluster.RPC.Client.NATS
	client.Connect = "nats://rpc:hunter2@nats-1:4222,nats://nats-2:4222"
	client.RequestTimeout = 2500 * time.Millisecond
	client.MaxReconnectionRetries = 15
	want.Cluster.RPC.Server.NATS.Connect = "nats://nats-1:4222"
	want.Cluster.RPC.Server.Concurrency = 30
	etcd := &want.Cluster.SD.Etcd
	etcd.Endpoints = []string{"etcd-1:2379", "etcd-2:2379"}
	etcd.User, etcd.Pass = "game", "hunter2"
	etcd.DialTimeout = 3 * time.Second
	etcd.Heartbeat = config.EtcdHeartbeat{TTL: 10 * time.Second, Log: true}
	etcd.SyncServers = config.SyncServers{Interval: 90 * time.Second, Parallelism: 4}
	etcd.GrantLease.Timeout, etcd.GrantLease.MaxRetries = 20*time.Second, 3
	etcd.ServerTypesBlacklist = []string{"tools", "metrics"}
	etcd.OnLoss = config.OnLossExit
	want.Groups.Etcd.Endpoints = []string{"etcd-1:2379"}
	require.EqualExportedValues(t, *want, *cfg)

	require.Equal(t, []string{
		"pitaya.buffer.agent.writetimeout", "pitaya.buffer.handler.localprocess", "pitaya.buffer.handler.remoteprocess",
		"pitaya.cluster.rpc.client.grpc.dialtimeout", "pitaya.cluster.rpc.server.grpc.port",
		"pitaya.cluster.rpc.server.nats.buffer.messages", "pitaya.cluster.rpc.server.nats.buffer.push",
		"pitaya.cluster.sd.etcd.servertypeblacklist", "pitaya.concurrency.handler.dispatch", "pitaya.metrics.period",
		"pitaya.metrics.statsd.enabled", "pitaya.metrics.statsd.host",
		"pitaya.session.drain.enabled", "pitaya.session.drain.timeout",
		"pitaya.worker.redis.password", "pitaya.worker.redis.serverurl", "pitaya.worker.retry.max",
	}, keys(report.Ignored))
	require.Equal(t, []string{"pitaya.cluster.rpc.server.nats.services"}, keys(report.Renamed))
	require.Equal(t, []string{
		"pitaya.cluster.sd.etcd.dialtimeout", "pitaya.cluster.sd.etcd.grantlease.maxretries",
		"pitaya.metrics.prometheus.enabled", "pitaya.cluster.rpc.client.nats.maxreconnectionretries",
	}, keys(report.Warnings))
	require.NotContains(t, fmt.Sprint(report), "hunter2")
}

func keys(notes []config.Note) []string {
	var all []string
	for _, n := range notes {
		all = append(all, n.Key)
	}
	return all
}
