package main

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPortInUseIsSaid(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	var out strings.Builder
	require.Equal(t, "localhost:0", freeAddress(t.Context(), "localhost", port, &out))
	require.Equal(t, "Port "+port+" is in use, so a free one takes its place.\n", out.String())
	require.NoError(t, l.Close())
}
