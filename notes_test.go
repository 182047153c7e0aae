package cereus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/config"
)

func TestNewLogsWhatTheConfigurationHasToSay(t *testing.T) {
	t.Parallel()
	cfg, _, err := config.Load(config.Options{
		Root: "pitaya", Env: func() []string { return nil },
		Reader: strings.NewReader("pitaya: {concurrency: {remote: {service: 7}}, worker: {redis: {pool: 1}}}"),
	})
	require.NoError(t, err)
	log, logged := logtest.NewNullLogger()
	_, err = cereus.New(cereus.Frontend("hall"), cereus.Standalone(), cereus.WithTCP("localhost:0"),
		cereus.WithConfig(cfg), cereus.WithLogger(log))
	require.NoError(t, err)
	entries := logged.AllEntries()
	require.Len(t, entries, 2)
	for i, key := range []string{"pitaya.concurrency.remote.service", "pitaya.worker.redis.pool"} {
		require.Equal(t, logrus.WarnLevel, entries[i].Level)
		require.Equal(t, key, entries[i].Data["key"])
		require.Equal(t, cfg.Notes()[i].Text, entries[i].Data["note"])
	}
}

func TestAStandaloneServerSaysThatItHasNoDiscoveryAPI(t *testing.T) {
	t.Parallel()
	log, logged := logtest.NewNullLogger()
	standalone(t, server{config: []change{func(c *config.Config) {
		c.Admin.Address, c.Admin.Token = "127.0.0.1:0", "0123456789abcdef"
	}}}, cereus.WithLogger(log))
	require.True(t, slices.ContainsFunc(logged.AllEntries(), func(e *logrus.Entry) bool {
		return e.Level == logrus.WarnLevel && strings.HasPrefix(e.Message, "admin.token")
	}))
}
