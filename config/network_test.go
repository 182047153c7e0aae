package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "192.0.2.7": "192.0.2.7/32",
		"fd00::/8": "fd00::/8", "::1": "::1/128", "::ffff:192.0.2.7": "192.0.2.7/32",
	} {
		got, err := config.ParseNetwork(text)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0", "proxy.example.com", "10.0.0.0/8/8"} {
		_, err := config.ParseNetwork(text)
		require.Error(t, err, text)
	}
}

func TestProxiesAreChecked(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Acceptor.Proxies = config.Proxies{Trusted: []string{"10.0.0.0/8", "fd00::1"}, Header: "forwarded"}
	require.NoError(t, c.Validate())
	c.Acceptor.Proxies.Trusted = nil
	require.ErrorContains(t, c.Validate(), "acceptor.proxies.trusted: must name the proxies")
	c.Acceptor.Proxies = config.Proxies{Trusted: []string{"10.0.0.0/8", "proxy"}, Header: "x-real-ip"}
	err := c.Validate()
	require.ErrorContains(t, err, "networks like 10.0.0.0/8")
	require.ErrorContains(t, err, "one of x-forwarded-for, forwarded")
}
