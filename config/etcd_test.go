package config_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

func TestEtcdAndHealthKeys(t *testing.T) {
	t.Parallel()
	const etcd = "{endpoints: ['https://a:1'], user: u, pass: p, tls: {ca: ca.pem, cert: c.pem, key: k.pem, servername: etcd}}"
	cfg, report, err := load(t, "", "cereus: {cluster: {load: {interval: 0}, sd: {etcd: "+etcd+"}}, groups: {etcd: "+etcd+
		"}, admin: {address: ':1', token: 0123456789abcdef}}")
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	require.Equal(t, config.TLS{CA: "ca.pem", Cert: "c.pem", Key: "k.pem", ServerName: "etcd"}, cfg.Cluster.SD.Etcd.TLS)
	require.Equal(t, cfg.Cluster.SD.Etcd.EtcdConnection, cfg.Groups.Etcd.EtcdConnection)
	require.Equal(t, config.Secret("0123456789abcdef"), cfg.Admin.Token)
	require.Zero(t, cfg.Cluster.Load.Interval)

	cfg = config.Default()
	require.Equal(t, time.Second, cfg.Cluster.Load.Interval)
	require.Equal(t, config.Health{Interval: 2 * time.Second, Timeout: time.Second, Failures: 3, Passes: 1}, cfg.Cluster.SD.Etcd.Health)
	require.Equal(t, cfg.Cluster.SD.Etcd.EtcdConnection, cfg.Groups.Etcd.EtcdConnection, "equal ones share a connection")
	cfg, _, err = config.Load(config.Options{Env: env("CEREUS_CLUSTER_SD_ETCD_TLS_CA=x", "CEREUS_GROUPS_ETCD_TLS_SERVERNAME=y")})
	require.NoError(t, err)
	require.Equal(t, "x", cfg.Cluster.SD.Etcd.TLS.CA)
	require.Equal(t, "y", cfg.Groups.Etcd.TLS.ServerName)
}

func TestEtcdAndHealthKeysThatAreWrong(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"cluster: {load: {interval: 50ms}}":                                "cereus.cluster.load.interval = \"50ms\" (file): must be 0 (off) or at least 100ms",
		"cluster: {load: {interval: -1s}}":                                 "must be 0 (off) or at least 100ms",
		"cluster: {sd: {etcd: {health: {failures: 0}}}}":                   "health.failures = \"0\" (file): must be at least 1",
		"cluster: {sd: {etcd: {health: {passes: 0}}}}":                     "health.passes",
		"cluster: {sd: {etcd: {health: {interval: 1ms}}}}":                 "health.interval",
		"cluster: {sd: {etcd: {health: {timeout: 0}}}}":                    "health.timeout",
		"admin: {token: short}":                                            "cereus.admin.token = (hidden) (file): must be at least 16 characters",
		"admin: {token: 'with some spaces'}":                               "cereus.admin.token = (hidden)",
		"cluster: {sd: {etcd: {tls: {cert: a.pem}}}}":                      "cereus.cluster.sd.etcd.tls.key: a certificate and its key go together",
		"groups: {etcd: {tls: {key: a.pem}}}":                              "cereus.groups.etcd.tls.cert: a certificate and its key go together",
		"cluster: {sd: {etcd: {tls: {insecureskipverify: true}}}}":         "cereus.cluster.sd.etcd.tls.insecureskipverify (file): is not a key: certificates are always checked; name the authority in tls.ca",
		"cluster: {sd: {etcd: {endpoints: ['http://a:1','https://b:1']}}}": "cereus.cluster.sd.etcd.endpoints (file): must be all http://, all https:// or all without a scheme",
		"groups: {etcd: {endpoints: ['http://a:1'], tls: {ca: a}}}":        "cereus.groups.etcd.endpoints (file): must be https:// with the tls keys",
		"groups: {etcd: {endpoints: ['http://u:hunter2@a:1']}}":            "must be without @: credentials are set in user and pass at [0]",
	} {
		_, _, err := load(t, "", "cereus: {"+yaml+"}")
		require.ErrorContains(t, err, want, yaml)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "short")
	}
	_, _, err := config.Load(config.Options{Env: env("CEREUS_GROUPS_ETCD_TLS_INSECURESKIPVERIFY=1")})
	require.ErrorContains(t, err, "certificates are always checked")
	cfg := config.Default()
	cfg.Groups.Etcd.TLS.Cert = "x"
	require.Contains(t, faults(t, cfg.Validate()), "cereus.groups.etcd.tls.key", "of a tree that was changed in code, too")
}

func TestEtcdWarnings(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"groups: {etcd: {user: u}}":        "cereus.groups.etcd.user (file): is not used: etcd needs both user and pass",
		"admin: {token: 0123456789abcdef}": "cereus.admin.token (file): is not used, the API of service discovery is not served: set admin.address to say where, such as 127.0.0.1:9090",
	} {
		_, report, err := load(t, "", "cereus: {"+yaml+"}")
		require.NoError(t, err)
		require.Len(t, report.Warnings, 1)
		require.Equal(t, want, report.Warnings[0].String())
	}
}

func TestMetricsForEverybodyServeNoAPI(t *testing.T) {
	t.Parallel()
	cfg, report, err := load(t, "", "cereus: {metrics: {prometheus: {enabled: true}}, admin: {token: 0123456789abcdef}}")
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:9090", cfg.Admin.Address)
	require.Empty(t, cfg.Admin.Token)
	require.Len(t, report.Warnings, 2)
	cfg, _, err = load(t, "", "cereus: {metrics: {prometheus: {enabled: true}}, admin: {token: 0123456789abcdef, address: '0.0.0.0:9090'}}")
	require.NoError(t, err)
	require.NotEmpty(t, cfg.Admin.Token)
}

func TestURLsHideCredentials(t *testing.T) {
	t.Parallel()
	for urls, shown := range map[config.URLs]string{
		"":                                      "",
		"nats://a:1":                            "nats://a:1",
		"nats://u:hunter2@a:1,nats://b:1":       "nats://(hidden)@a:1,nats://b:1",
		"nats://hunter2@a:1, tls://hunter2@b:1": "nats://(hidden)@a:1, tls://(hidden)@b:1",
		"u:hunter2@a:1":                         "(hidden)@a:1",
		"nats://u:hun,ter2@a:1":                 "nats://(hidden)@a:1",
		"nats://u:1,hunter2@a:1,nats://b:1":     "nats://(hidden)@a:1,nats://b:1",
		"nats://u:hunter2%@a:1":                 "nats://(hidden)@a:1",
	} {
		require.Equal(t, shown, urls.String())
		cfg := config.Default()
		cfg.Cluster.RPC.Client.NATS.Connect = urls
		cfg.Cluster.RPC.Server.NATS.Connect = urls
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, value := range []any{cfg, *cfg, cfg.Cluster.RPC, cfg.Cluster.RPC.Client.NATS, urls} {
				text := fmt.Sprintf(verb, value)
				require.NotContains(t, text, "ter2", verb)
				require.NotContains(t, text, "74657232", verb)
			}
		}
		text, err := json.Marshal(cfg)
		require.NoError(t, err)
		require.NotContains(t, string(text), "ter2")
	}
	require.Equal(t, `"nats://(hidden)@a:1"`, fmt.Sprintf("%q", config.URLs("nats://u:p@a:1")))
}
