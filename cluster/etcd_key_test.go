package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What an operator writes into the key of a crashed server is no sign of life of
// that server: the next process with its id gets the key.
func TestE14_EditedAfterTheCrash(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := newEtcd(t, etcdParams(nil, endpoint))
	p := etcdParams(backend("self"), endpoint)
	p.TTL = 4 * time.Second
	first := newEtcd(t, p)
	register(t, first)
	eventually(t, sees(operator, "self"), "registered")
	crash(t, first)
	p.Self = backend("self")
	second := newEtcd(t, p)
	registered := make(chan error, 1)
	go func() { registered <- second.Register(testContext(t)) }()
	for n := 1; ; n++ { // until the lease of the first has run out
		_, err := operator.EditServer(testContext(t), "self", Edit{Weight: &n})
		if err != nil {
			require.ErrorIs(t, err, ErrServerUnknown)
			break
		}
		select {
		case err := <-registered:
			require.NoError(t, err)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	require.NoError(t, <-registered)
}
