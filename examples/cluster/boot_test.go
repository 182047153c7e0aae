package main

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/internal/childtest"
)

// asProgram is set in a process that is the program rather than its tests.
const asProgram = "CEREUSTEST_EXAMPLE"

// beProgram is the program, as it is called for a room. It says on its standard
// output what it says on its standard error, which is what a test reads.
func beProgram() {
	os.Args = []string{"cluster", "-id", "room-1", "room"}
	os.Stderr = os.Stdout
	main()
}

// A server that finds nobody to work with ends, with an exit code that says so to
// who started it.
func TestE18_N20_ExitCodeOfAServerWithoutInfrastructure(t *testing.T) {
	t.Parallel()
	infra, err := embedded.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	closed := freeAddress(t) // nobody listens there
	for name, c := range map[string]struct{ etcd, nats string }{
		"E18 etcd": {closed, infra.NATSURL()},
		"N20 nats": {infra.EtcdEndpoints()[0], "nats://" + closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child, out := childtest.Start(t, asProgram+"=1", "CEREUS_BOOT_TIMEOUT=3s",
				"CEREUS_CLUSTER_SD_ETCD_DIALTIMEOUT=200ms", "CEREUS_CLUSTER_SD_ETCD_ENDPOINTS="+c.etcd,
				"CEREUS_CLUSTER_RPC_CLIENT_NATS_CONNECT="+c.nats, "CEREUS_CLUSTER_RPC_SERVER_NATS_CONNECT="+c.nats)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			require.Error(t, child.Wait())
			require.Equal(t, 1, child.ProcessState.ExitCode(), "%s", said)
			require.Regexp(t, `(?m)^cluster: .*`+closed, string(said))
		})
	}
}
