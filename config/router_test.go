package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

func TestRouters(t *testing.T) {
	t.Parallel()
	want := config.Router{
		Default: config.RouterPolicy{Policy: config.PolicyLeastLoaded, Inner: config.PolicyRandom, Bound: 1.25},
		Types: map[string]config.RouterPolicy{
			"room": {
				Policy: config.PolicySticky, Inner: config.PolicyRoundRobin,
				Version: config.RouterVersion{Metadata: "version"},
				Canary:  config.RouterCanary{Metadata: "track", Value: "new", Percent: 12.5},
				Zone:    config.RouterZone{Metadata: "region", Zone: "eu", Busy: 80},
			},
			"hall.v2": {Policy: config.PolicyRendezvous},
		},
	}
	cfg, _, err := config.Load(config.Options{Env: noEnv, Reader: strings.NewReader(`
cereus:
  cluster:
    router:
      default: {policy: leastloaded, bound: 1.25}
      types:
        Room:
          policy: sticky
          inner: roundrobin
          version: {metadata: version}
          canary: {metadata: track, value: new, percent: 12.5}
          zone: {metadata: region, zone: eu, busy: 80}
        hall.v2: {policy: rendezvous}`)})
	require.NoError(t, err)
	require.Equal(t, want, cfg.Cluster.Router)

	cfg, _, err = config.Load(config.Options{Env: func() []string {
		return []string{
			`CEREUS_CLUSTER_ROUTER_TYPES={"room":{"policy":"leastloaded"}}`, "CEREUS_CLUSTER_ROUTER_DEFAULT_CANARY_PERCENT=7",
			"CEREUS_CLUSTER_ROUTER_DEFAULT_CANARY_METADATA=track", "CEREUS_CLUSTER_ROUTER_DEFAULT_CANARY_VALUE=new",
		}
	}})
	require.NoError(t, err)
	require.Equal(t, map[string]config.RouterPolicy{"room": {Policy: config.PolicyLeastLoaded}}, cfg.Cluster.Router.Types)
	require.InDelta(t, 7, cfg.Cluster.Router.Default.Canary.Percent, 0)

	cfg = config.Default()
	require.Empty(t, cfg.Cluster.Router.Types)
	cfg.Cluster.Router = want
	require.NoError(t, cfg.Validate())
}

func TestRoutersThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, fault := range map[string]string{
		"default: {policy: fastest}":                         "default.policy = \"fastest\" (file): must be one of random, roundrobin, leastloaded, rendezvous, sticky",
		"default: {policy: sticky, inner: sticky}":           "must be one of random, roundrobin, leastloaded, rendezvous",
		"default: {inner: leastloaded}":                      "set policy to sticky, or to leastloaded itself",
		"default: {bound: 0.5}":                              "must be 0 (off) or at least 1",
		"default: {bound: many}":                             "want a number",
		"default: {canary: {percent: 101}}":                  "must be at most 100",
		"default: {canary: {percent: 5}}":                    "router.default.canary.metadata",
		"default: {canary: {metadata: track}}":               "router.default.canary.value",
		"default: {zone: {busy: 3}}":                         "router.default.zone.metadata",
		"default: {polciy: random}":                          "did you mean cereus.cluster.router.default.policy?",
		"types: {room: {policy: fastest}}":                   "one of random, roundrobin, leastloaded, rendezvous, sticky",
		"types: {room: {polciy: random}}":                    "polciy",
		"types: [room]":                                      "section per server type",
		"types: room":                                        "section per server type",
		"types: {room: {policy: random, inner: roundrobin}}": "router.types.room.inner",
		"types: {room: {canary: {percent: -1}}}":             "at least 0",
	} {
		_, _, err := config.Load(config.Options{Env: noEnv, Reader: strings.NewReader("cereus: {cluster: {router: {" + text + "}}}")})
		require.ErrorContains(t, err, fault, text)
	}
}
