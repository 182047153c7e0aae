package embedded

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

const long = 20 * time.Second

// A restart that does not come to an end does not hold Stop up.
func TestStopBreaksARestartOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*long)
	defer cancel()
	c, err := Start(ctx, WithoutNATS())
	require.NoError(t, err)
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- c.bringUp(ctx, "never ready", func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	<-begun
	require.NoError(t, c.Stop(ctx))
	require.ErrorIs(t, <-ended, errStopped)
}

func TestTurnIsWaitedForWithinTheContext(t *testing.T) {
	t.Parallel()
	c, err := Start(context.Background(), WithoutNATS())
	require.NoError(t, err)
	end, err := c.etcd.begin(context.Background())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.StopEtcd(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, c.RestartEtcdEmpty(ctx), context.DeadlineExceeded)
	end()
	require.ErrorContains(t, c.etcd.wipe(context.Background()), "stop it before")
	require.NoError(t, c.Stop(context.Background()))
}

func TestFront(t *testing.T) {
	t.Parallel()
	work := lifecycle.NewGroup(context.Background())
	l, err := loopback.Listen()
	require.NoError(t, err)
	f := newFront(l, work)

	target, err := loopback.Listen()
	require.NoError(t, err)
	defer func() { require.NoError(t, target.Close()) }()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", loopback.Address(f.port()))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(long)))
		return conn
	}
	requireEnds := func(conn net.Conn) {
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, isTimeout(err))
	}
	requireEnds(dial()) // leads nowhere yet

	f.lead(target.Addr().String())
	here := dial()
	there, err := target.Accept()
	require.NoError(t, err)
	require.NoError(t, there.SetDeadline(time.Now().Add(long)))
	for from, to := range map[net.Conn]net.Conn{here: there, there: here} {
		_, err = from.Write([]byte("x"))
		require.NoError(t, err)
		_, err = to.Read(make([]byte, 1))
		require.NoError(t, err)
	}
	f.cut()
	requireEnds(here)
	requireEnds(there)
	requireEnds(dial())

	f.lead("127.0.0.1:1") // nobody listens
	requireEnds(dial())
	f.close()
	_, err = net.Dial("tcp", loopback.Address(f.port()))
	require.Error(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	require.NoError(t, work.Stop(ctx))
	require.Empty(t, f.conns)
}

func TestReservedPort(t *testing.T) {
	t.Parallel()
	l, err := loopback.Listen()
	require.NoError(t, err)
	address := l.Addr().String()
	nobody := reserve(l.Addr().(*net.TCPAddr).Port)
	client, err := net.Dial("tcp", address)
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, server.Close()) // this end waits for late packets and so holds the port a while
	require.NoError(t, client.Close())
	require.NoError(t, l.Close())
	nobody()

	release := reserve(l.Addr().(*net.TCPAddr).Port)
	_, err = net.Listen("tcp", address)
	require.True(t, loopback.InUse(err), err)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
	release()
	l, err = net.Listen("tcp", address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func TestSumMetric(t *testing.T) {
	t.Parallel()
	text := `# HELP m Help about m 9
# TYPE m counter
m 1
m{a="x"} 2.5
m{a="} 7",b=""} 1e2 1700000000000
m_total 1000
mm 1000
`
	sum, err := sumMetric(strings.NewReader(text), "m")
	require.NoError(t, err)
	require.InDelta(t, 103.5, sum, 1e-9)
	for text, hint := range map[string]string{
		"":                                      "there is no metric",
		"m":                                     "there is no metric",
		"m{":                                    "invalid syntax",
		"m x":                                   "invalid syntax",
		strings.Repeat("x", metricsLine) + "\n": "too long",
	} {
		_, err := sumMetric(strings.NewReader(text), "m")
		require.ErrorContains(t, err, hint)
	}
}

func FuzzSumMetric(f *testing.F) {
	f.Add("m 1\nm{a=\"b\"} 2 3\n", "m")
	f.Add("# HELP m\nm{", "m")
	f.Add("", "")
	f.Fuzz(func(_ *testing.T, text, name string) {
		_, _ = sumMetric(strings.NewReader(text), name)
	})
}

func FuzzParsePeers(f *testing.F) {
	f.Add("1\n2\n3\n", 3)
	f.Add("65536", 1)
	f.Add("", 5)
	f.Fuzz(func(t *testing.T, text string, count int) {
		ports, err := parsePeers(text, count)
		if err != nil {
			return
		}
		require.Len(t, ports, count)
		for _, port := range ports {
			require.Positive(t, port)
			require.LessOrEqual(t, port, 65535)
		}
	})
}
