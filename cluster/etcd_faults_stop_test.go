//go:build unix

package cluster

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestE20_StoppedForLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, heard := rawClient(t, endpoint), new(recorder)
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	watcher.AddListener(heard)
	sleeper := spawn(t, childParams{ID: "sleeper", Endpoint: endpoint, TTL: ttl})
	eventually(t, sees(watcher, "sleeper"), "joined")
	before, _ := watcher.Server("sleeper")
	lease := keyOf(t, operator, before).Kvs[0].Lease

	require.NoError(t, sleeper.cmd.Process.Signal(syscall.SIGSTOP))
	eventually(t, sees(watcher), "its lease ran out")
	require.Zero(t, keyOf(t, operator, before).Count)
	require.NoError(t, sleeper.cmd.Process.Signal(syscall.SIGCONT))
	woken := time.Now()
	eventually(t, sees(watcher, "sleeper"), "it is back")
	t.Logf("back %v after it was woken", time.Since(woken))

	after, _ := watcher.Server("sleeper")
	require.Equal(t, before.Nonce, after.Nonce, "the same run")
	require.Greater(t, after.Epoch, before.Epoch)
	require.NotEqual(t, lease, keyOf(t, operator, after).Kvs[0].Lease)
	require.Equal(t, []string{"sleeper"}, ids(watcher.ServersByType("room")))
	eventually(t, heard.hears("add sleeper", "remove sleeper suspect", "add sleeper"), "leave, then join")
	eventually(t, func() bool { return len(leasesOf(t, operator)) == 1 }, "one live lease")
}
