package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

// noEnv keeps the environment of the test run out.
func noEnv() []string { return nil }

func env(entries ...string) func() []string { return func() []string { return entries } }

// load loads YAML text without any environment.
func load(t *testing.T, root, yaml string) (*config.Config, *config.Report, error) {
	t.Helper()
	return config.Load(config.Options{Root: root, Reader: strings.NewReader(yaml), Env: noEnv})
}

// faults are all faults of an error by key.
func faults(t *testing.T, err error) map[string]*config.Fault {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%v", err)
	byKey := map[string]*config.Fault{}
	for _, e := range joined.Unwrap() {
		var f *config.Fault
		require.ErrorAs(t, e, &f)
		byKey[f.Key] = f
	}
	return byKey
}

func TestDefaultIsCompleteAndValid(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	require.NoError(t, cfg.Validate())
	require.Equal(t, "cereus", cfg.Root)
	require.Equal(t, config.SerializerJSON, cfg.SerializerType)
	require.Equal(t, 30*time.Second, cfg.Heartbeat.Interval)
	require.Equal(t, 64<<10, cfg.Conn.Limits.Packet)
	require.Equal(t, 1<<20, cfg.Buffer.Agent.Bytes)
	require.Equal(t, 60*time.Second, cfg.Cluster.SD.Etcd.Heartbeat.TTL)
	require.Equal(t, []string{"localhost:2379"}, cfg.Cluster.SD.Etcd.Endpoints)
	require.Equal(t, config.OnLossContinue, cfg.Cluster.SD.Etcd.OnLoss)
	require.Equal(t, "cereus/", cfg.Cluster.SD.Etcd.Prefix)
	require.Equal(t, "cereus/", cfg.Cluster.NATS.Prefix)
	require.Equal(t, -1, cfg.Cluster.RPC.Client.NATS.MaxReconnectionRetries)
	require.Equal(t, time.Second, cfg.Cluster.RPC.Server.NATS.PingInterval)
	require.Empty(t, cfg.Admin.Address)
	cfg.Cluster.SD.Etcd.Endpoints[0] = "changed"
	cfg.Metrics.ConstLabels["a"] = "b"
	require.Equal(t, []string{"localhost:2379"}, config.Default().Cluster.SD.Etcd.Endpoints, "a tree of its own")
}

func TestLoadOfNothingIsTheDefault(t *testing.T) {
	t.Parallel()
	cfg, report, err := config.Load(config.Options{Env: noEnv})
	require.NoError(t, err)
	require.Equal(t, config.Default(), cfg)
	require.Empty(t, report.Ignored)
	require.Empty(t, report.Renamed)
	require.Empty(t, report.Warnings)
	require.False(t, report.Explicit("heartbeat.interval"))
}

func TestPrefixesFollowTheRootUnlessSet(t *testing.T) {
	t.Parallel()
	cfg, _, err := load(t, "pitaya", "")
	require.NoError(t, err)
	require.Equal(t, "pitaya/", cfg.Cluster.SD.Etcd.Prefix)
	require.Equal(t, "pitaya/", cfg.Cluster.NATS.Prefix)
	require.Equal(t, "pitaya/", cfg.Groups.Etcd.Prefix)
	cfg, _, err = load(t, "", "cereus: {cluster: {nats: {prefix: pitaya/}, sd: {etcd: {prefix: ''}}}}")
	require.NoError(t, err)
	require.Equal(t, "pitaya/", cfg.Cluster.NATS.Prefix)
	require.Empty(t, cfg.Cluster.SD.Etcd.Prefix, "set to nothing")
	require.Equal(t, "cereus/", cfg.Groups.Etcd.Prefix)
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "cereus: {conn: {mailbox: 1, ratelimiting: {limit: 1}}, metrics: {game: file}, cluster: {window: {session: 32}}}"
	cfg, report, err := config.Load(config.Options{
		Reader:    strings.NewReader(file),
		Env:       env("CEREUS_CONN_MAILBOX=2", "CEREUS_CONN_RATELIMITING_LIMIT=2", "CEREUS_METRICS_GAME=", "PATH=/bin", "CEREUS2=x"),
		Overrides: map[string]any{"conn.mailbox": 3, "cereus.Errors.HidePanics": true},
	})
	require.NoError(t, err)
	require.Equal(t, 3, cfg.Conn.Mailbox)
	require.Equal(t, 2, cfg.Conn.RateLimiting.Limit)
	require.Equal(t, "file", cfg.Metrics.Game, "an empty variable is not set")
	require.True(t, cfg.Errors.HidePanics)
	require.Equal(t, "code", report.Origin("cereus.conn.mailbox"))
	require.Equal(t, "environment CEREUS_CONN_RATELIMITING_LIMIT", report.Origin("conn.ratelimiting.limit"))
	require.True(t, report.Explicit("cluster.window.session"), "though it is the default")
	require.False(t, report.Explicit("cluster.window.server"))
}

func TestFilesByExtension(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a.yaml": "cereus:\n  conn:\n    mailbox: 7\n",
		"a.json": `{"cereus":{"conn":{"mailbox":7}}}`,
		"a.toml": "[cereus.conn]\nmailbox = 7\n",
		"plain":  "cereus: {conn: {mailbox: 7}}",
		"flat":   "cereus.conn.mailbox: 7",
	} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		cfg, report, err := config.Load(config.Options{File: path, Env: noEnv})
		require.NoError(t, err, name)
		require.Equal(t, 7, cfg.Conn.Mailbox, name)
		require.Equal(t, "file "+path, report.Origin("conn.mailbox"))
	}
}

func TestFileThatIsMissingOrBroken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := config.Load(config.Options{File: path, Env: noEnv})
	require.ErrorContains(t, err, path)
	_, _, err = load(t, "", "cereus: [")
	require.Error(t, err)
	_, _, err = config.Load(config.Options{Root: "no-good", Env: noEnv})
	require.ErrorContains(t, err, "letters")
}

func TestKeysOutsideTheRootAreNotLookedAt(t *testing.T) {
	t.Parallel()
	cfg, report, err := load(t, "", "game: {conn: {mailbox: 1}}\npitaya: {nonsense: 1}\ncereus: {conn: {mailbox: 9}}\ncereus2: {x: 1}")
	require.NoError(t, err)
	require.Equal(t, 9, cfg.Conn.Mailbox)
	require.Empty(t, report.Warnings)
	_, report, err = load(t, "", "pitaya: {heartbeat: {interval: 1s}}")
	require.NoError(t, err)
	require.Len(t, report.Warnings, 1)
	require.Contains(t, report.Warnings[0].String(), `load it with Options.Root "pitaya"`)
}

func TestAFileThatSetsNothingIsWorthAWarning(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "heartbeat: {interval: 1s}", "cereus:", "cereos: {conn: {mailbox: 1}}"} {
		_, report, err := load(t, "", text)
		require.NoError(t, err)
		require.Len(t, report.Warnings, 1, text)
		require.Contains(t, report.Warnings[0].String(), `the file sets nothing under "cereus"`)
	}
}

func TestNotesStayWithTheConfiguration(t *testing.T) {
	t.Parallel()
	require.Empty(t, config.Default().Notes())
	cfg, report, err := load(t, "pitaya", "pitaya: {heartbeat: {interval: 1000000000}, concurrency: {remote: {service: 7}}, worker: {redis: {pool: 1}}}")
	require.NoError(t, err)
	require.Equal(t, []config.Note{report.Warnings[0], report.Renamed[0], report.Ignored[0]}, cfg.Notes())
	cfg.Notes()[0].Text = "changed"
	require.Equal(t, report.Warnings[0], cfg.Notes()[0], "every call returns a list of its own")
}

func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	_, _, err := load(t, "", "cereus: {conn: {mailbox: 0}}")
	require.EqualError(t, err, `config: cereus.conn.mailbox = "0" (file): must be at least 1`)
	_, _, err = load(t, "", "cereus: {conn: {mailbox: 0, limits: {packet: 64MB}}}")
	require.ErrorContains(t, err, "2 faults in the configuration:\nconfig: cereus.conn.")
	require.ErrorContains(t, err, "KiB, MiB or GiB")
	var fault *config.Fault
	require.ErrorAs(t, err, &fault)
	cfg := config.Default()
	cfg.Conn.Mailbox, cfg.Conn.Limits.Ratio = 0, 0
	require.ErrorContains(t, cfg.Validate(), "2 faults in the configuration:")
}

func TestOnlyKeysThatAreSpelledAlikeAreSuggested(t *testing.T) {
	t.Parallel()
	_, _, err := load(t, "", "cereus: {matchmaking: {elo: 3}}")
	require.EqualError(t, err, "config: cereus.matchmaking.elo (file): is not a known key: docs/configuration.md lists all of them")
	_, _, err = config.Load(config.Options{Env: env("CEREUS_MATCHMAKING_ELO=3")})
	require.EqualError(t, err, "config: CEREUS_MATCHMAKING_ELO (environment): is not a known variable: docs/configuration.md lists all of them")
}

func TestFormatsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "game.conf")
	require.NoError(t, os.WriteFile(path, []byte("cereus: {conn: {mailbox: 7}}"), 0o600))
	_, _, err := config.Load(config.Options{File: path, Env: noEnv})
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, `"conf" is not a format that can be read: use YAML, JSON or TOML`)
	cfg, _, err := config.Load(config.Options{File: path, Format: "yaml", Env: noEnv})
	require.NoError(t, err)
	require.Equal(t, 7, cfg.Conn.Mailbox)
	_, _, err = config.Load(config.Options{Reader: strings.NewReader(""), Format: "conf", Env: noEnv})
	require.ErrorContains(t, err, "is not a format")
}

func TestFaultsComeTogetherAndNameTheirKeys(t *testing.T) {
	t.Parallel()
	cfg, report, err := config.Load(config.Options{
		Reader: strings.NewReader(`
cereus:
  heartbeat: {interval: 1500ms, intervall: 5s}
  serializertype: 3
  conn: {mailbox: many, limits: {packet: 17MiB}, handshaketimeout: 5}
  acceptor: true
  metrics: {constlabels: {9lives: x}}
  cluster: {nats: {prefix: "a b"}, sd: {etcd: {endpoints: [], onloss: panic}}}
`),
		Env:       env("CEREUS_SESSION_UNIQE=false", "CEREUS_SESSION_UNIQUE=maybe"),
		Overrides: map[string]any{"boot.timeout": "0s", "cluster.window.sesion": 1},
	})
	require.Nil(t, cfg)
	require.NotNil(t, report)
	found := faults(t, err)
	for key, want := range map[string]string{
		"cereus.heartbeat.interval":        `config: cereus.heartbeat.interval = "1.5s" (file): must be whole seconds`,
		"cereus.heartbeat.intervall":       `config: cereus.heartbeat.intervall (file): is not a known key: did you mean cereus.heartbeat.interval?`,
		"cereus.serializertype":            `config: cereus.serializertype = "3" (file): want json (1) or protobuf (2)`,
		"cereus.conn.mailbox":              `config: cereus.conn.mailbox = "many" (file): want a whole number`,
		"cereus.conn.limits.packet":        `config: cereus.conn.limits.packet = "17825792" (file): must be at most 16777215`,
		"cereus.conn.handshaketimeout":     `config: cereus.conn.handshaketimeout = "5" (file): want a duration with a unit, such as 500ms, 5s or 2m`,
		"cereus.acceptor":                  `config: cereus.acceptor (file): is a section, not a setting: name one below it, such as cereus.acceptor.proxyprotocol`,
		"cereus.metrics.constlabels":       `config: cereus.metrics.constlabels = "map[9lives:x]" (file): must be letters, digits and _ (labels), not a digit or __ first at [9lives]`,
		"cereus.cluster.nats.prefix":       `config: cereus.cluster.nats.prefix = "a b" (file): must be a text without spaces, *, > and empty parts between dots`,
		"cereus.cluster.sd.etcd.endpoints": `config: cereus.cluster.sd.etcd.endpoints = "" (file): must be a list of at least 1`,
		"cereus.cluster.sd.etcd.onloss":    `config: cereus.cluster.sd.etcd.onloss = "panic" (file): must be one of continue, fence, exit`,
		"CEREUS_SESSION_UNIQE":             `config: CEREUS_SESSION_UNIQE (environment): is not a known variable: did you mean CEREUS_SESSION_UNIQUE?`,
		"cereus.session.unique":            `config: cereus.session.unique = "maybe" (environment CEREUS_SESSION_UNIQUE): want true or false`,
		"cereus.boot.timeout":              `config: cereus.boot.timeout = "0s" (code): must be at least 1ms`,
		"cereus.cluster.window.sesion":     `config: cereus.cluster.window.sesion (code): is not a known key: did you mean cereus.cluster.window.session?`,
	} {
		require.Contains(t, found, key)
		require.Equal(t, want, found[key].Error())
		delete(found, key)
	}
	require.Empty(t, found)
}

func TestPasswordsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	cfg, report, err := load(t, "", `
cereus: {cluster: {sd: {etcd: {user: u, pass: hunter2}}}}`)
	require.NoError(t, err)
	require.Equal(t, secret, string(cfg.Cluster.SD.Etcd.Pass))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, cfg.Cluster.SD), secret, verb)
		require.NotContains(t, fmt.Sprintf(verb, cfg.Cluster.SD.Etcd.Pass), secret, verb)
		require.NotContains(t, fmt.Sprintf(verb, cfg.Cluster.SD.Etcd.Pass), "68756e", verb)
	}
	require.NotContains(t, fmt.Sprintf("%+v", report), secret)

	_, _, err = load(t, "", `
cereus:
  cluster:
    sd: {etcd: {pass: [hunter2], password: hunter2, endpoints: ["http://u:hunter2@e:1", ""]}}
    rpc: {client: {nats: {pass: hunter2}}}`)
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
	require.Contains(t, err.Error(), `cereus.cluster.sd.etcd.pass = (hidden)`)
	require.Contains(t, err.Error(), `"http://(hidden)@e:1,"`)

	_, _, err = config.Load(config.Options{Env: func() []string { return nil }, Overrides: map[string]any{
		"cluster.rpc.client.nats.connect": map[string]any{"url": "nats://u:hunter2@n:1"},
	}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
}

func TestSecretTravelsAsTextHidden(t *testing.T) {
	t.Parallel()
	text, err := config.Secret("x").MarshalText()
	require.NoError(t, err)
	require.Equal(t, "(hidden)", string(text))
	require.Empty(t, config.Secret("").String())
}

func TestBareNumbersForDurations(t *testing.T) {
	t.Parallel()
	cfg, report, err := load(t, "pitaya", "pitaya: {cluster: {sd: {etcd: {dialtimeout: 3000000000}}}}")
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, cfg.Cluster.SD.Etcd.DialTimeout)
	require.Len(t, report.Warnings, 1)
	require.Equal(t, "pitaya.cluster.sd.etcd.dialtimeout (file): a number without a unit is nanoseconds: this is 3s", report.Warnings[0].String())

	_, _, err = load(t, "pitaya", "pitaya: {heartbeat: {interval: 30}}")
	require.ErrorContains(t, err, `= "30ns" (file): must be at least 1s`)
	_, _, err = load(t, "cereus", "cereus: {cluster: {sd: {etcd: {dialtimeout: 3000000000}}}}")
	require.ErrorContains(t, err, "want a duration with a unit")
	cfg, _, err = load(t, "cereus", "cereus: {cluster: {sd: {etcd: {shutdown: {delay: 0}}}}}")
	require.NoError(t, err, "0 needs no unit")
	require.Zero(t, cfg.Cluster.SD.Etcd.Shutdown.Delay)
}

func TestOnLossExitIsImpliedByMaxRetries(t *testing.T) {
	t.Parallel()
	cfg, report, err := load(t, "pitaya", "pitaya: {cluster: {sd: {etcd: {grantlease: {maxretries: 15}}}}}")
	require.NoError(t, err)
	require.Equal(t, config.OnLossExit, cfg.Cluster.SD.Etcd.OnLoss)
	require.Len(t, report.Warnings, 1)
	cfg, _, err = load(t, "pitaya", "pitaya: {cluster: {sd: {etcd: {onloss: fence, grantlease: {maxretries: 15}}}}}")
	require.NoError(t, err)
	require.Equal(t, config.OnLossFence, cfg.Cluster.SD.Etcd.OnLoss)
}

func TestPrometheusOpensTheAdminAddress(t *testing.T) {
	t.Parallel()
	cfg, _, err := load(t, "", "cereus: {metrics: {prometheus: {enabled: true, port: 9191}}}")
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:9191", cfg.Admin.Address)
	cfg, _, err = load(t, "", "cereus: {admin: {address: ':1'}, metrics: {prometheus: {enabled: true}}}")
	require.NoError(t, err)
	require.Equal(t, ":1", cfg.Admin.Address)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"cereus: {cluster: {sd: {etcd: {user: u}}}}":                                "cereus.cluster.sd.etcd.user (file): is not used: etcd needs both user and pass",
		"cereus: {cluster: {sd: {etcd: {pass: p}}}}":                                "cereus.cluster.sd.etcd.pass (file): is not used: etcd needs both user and pass",
		"cereus: {admin: {pprof: true}}":                                            "cereus.admin.pprof (file): is not used: admin.address is not set",
		"cereus: {cluster: {rpc: {client: {nats: {maxreconnectionretries: 15}}}}}":  "cereus.cluster.rpc.client.nats.maxreconnectionretries (file): the server ends after that many reconnects to NATS; -1 is forever",
		"cereus: {cluster: {rpc: {server: {concurrency: 5, nats: {services: 6}}}}}": "cereus.cluster.rpc.server.nats.services (file): is ignored: cluster.rpc.server.concurrency is set too",
	} {
		_, report, err := load(t, "", yaml)
		require.NoError(t, err)
		require.Len(t, report.Warnings, 1)
		require.Equal(t, want, report.Warnings[0].String())
	}
}

func TestValidateAfterChangesInCode(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Conn.Limits.Packet = 0
	cfg.Cluster.RPC.Server.NATS.PingInterval = 0
	err := cfg.Validate()
	found := faults(t, err)
	require.Len(t, found, 2)
	require.Contains(t, found, "cereus.conn.limits.packet")
	require.Contains(t, found, "cereus.cluster.rpc.server.nats.pinginterval")
	require.Error(t, (&config.Config{}).Validate())

	cfg = config.Default()
	cfg.Cluster.SD.Etcd.Endpoints = []string{"a:1", ""}
	cfg.Metrics.Custom.Histograms = []config.CustomHistogram{{Buckets: []float64{2, 1}}}
	cfg.Metrics.Custom.Gauges = []config.CustomMetric{{Name: "a", Labels: []string{"x-y"}}}
	found = faults(t, cfg.Validate())
	require.Equal(t, "must be set at [1]", found["cereus.cluster.sd.etcd.endpoints"].Want)
	require.Equal(t, "must be set at [0].Name; rising at [0].Buckets", found["cereus.metrics.custom.histograms"].Want)
	require.Contains(t, found["cereus.metrics.custom.gauges"].Want, "at [0].Labels[0]")
}

func TestOverridesAreNotShared(t *testing.T) {
	t.Parallel()
	endpoints := []string{"a:1"}
	cfg, _, err := config.Load(config.Options{Env: noEnv, Overrides: map[string]any{
		"cluster.sd.etcd.endpoints": endpoints, "heartbeat.interval": 5 * time.Second,
		"cluster.sd.etcd.onloss": config.OnLossFence, "cluster.sd.etcd.pass": config.Secret("p"),
	}})
	require.NoError(t, err)
	endpoints[0] = "changed"
	require.Equal(t, []string{"a:1"}, cfg.Cluster.SD.Etcd.Endpoints)
	require.Equal(t, 5*time.Second, cfg.Heartbeat.Interval)
	require.Equal(t, config.Secret("p"), cfg.Cluster.SD.Etcd.Pass)
	require.Equal(t, config.OnLossFence, cfg.Cluster.SD.Etcd.OnLoss)
}

func TestKubernetesServiceLinksAreLeftAlone(t *testing.T) {
	t.Parallel()
	_, _, err := config.Load(config.Options{Env: env(
		"CEREUS_SERVICE_HOST=10.0.0.1", "CEREUS_SERVICE_PORT=80", "CEREUS_SERVICE_PORT_WS=80", "CEREUS_PORT=tcp://10.0.0.1:80",
		"CEREUS_PORT_80_TCP=tcp://10.0.0.1:80", "CEREUS_PORT_80_TCP_PROTO=tcp", "CEREUS_ADMIN_PORT_80_TCP_ADDR=10.0.0.1",
	)})
	require.NoError(t, err)
	cfg, _, err := config.Load(config.Options{Env: env("CEREUS_METRICS_PROMETHEUS_PORT=1234")})
	require.NoError(t, err)
	require.Equal(t, 1234, cfg.Metrics.Prometheus.Port)
}

func FuzzLoad(f *testing.F) {
	seed, err := os.ReadFile("testdata/pitaya.yaml")
	require.NoError(f, err)
	f.Add(string(seed))
	f.Add("pitaya: {heartbeat: {interval: }, metrics: {constlabels: [a], custom: {gauges: {a: b}}}}")
	f.Add("pitaya: 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, _, err := config.Load(config.Options{Root: "pitaya", Reader: strings.NewReader(text), Env: noEnv})
		if err == nil {
			require.NoError(t, cfg.Validate())
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		_, _, err := config.Load(config.Options{Root: "pitaya", File: "testdata/pitaya.yaml", Env: noEnv})
		require.NoError(b, err)
	}
}

// TestBoundsOfOthers: what an acceptor would refuse when it listens is refused here.
func TestBoundsOfOthers(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]any{
		"conn.limits.httpheader": "2MiB", "conn.handshaketimeout": "25h", "acceptor.proxytimeout": "25h", "heartbeat.interval": "25h",
	} {
		_, _, err := config.Load(config.Options{Env: func() []string { return nil }, Overrides: map[string]any{key: value}})
		require.ErrorContains(t, err, key)
	}
}
