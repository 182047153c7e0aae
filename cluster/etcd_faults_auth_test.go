package cluster

import (
	"fmt"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

// maxCallsPerSecond is what a server that etcd refuses may ask of it: a hot loop
// makes thousands.
const maxCallsPerSecond = 10

var root = login{user: "root", password: "right"}

// startGuardedEtcd is an etcd that can have users, with cheap passwords.
func startGuardedEtcd(t testing.TB, tokenTTL time.Duration) string {
	t.Helper()
	return startEtcdWith(t, func(cfg *embed.Config) {
		cfg.BcryptCost, cfg.AuthTokenTTL = 4, uint(tokenTTL/time.Second)
	})
}

// enableAuth leaves nobody in but root.
func enableAuth(t testing.TB, operator *clientv3.Client) {
	t.Helper()
	_, err := operator.UserAdd(testContext(t), root.user, root.password)
	require.NoError(t, err)
	_, err = operator.UserGrantRole(testContext(t), root.user, "root")
	require.NoError(t, err)
	_, err = operator.AuthEnable(testContext(t))
	require.NoError(t, err)
}

// guarded is a server behind a proxy whose calls and warnings are counted.
type guarded struct {
	*EtcdDiscovery
	calls  *calls
	count  *counters
	logged *logtest.Hook
	proxy  *faultproxy.Proxy
}

func newGuarded(t testing.TB, endpoint string, who login, ttl time.Duration) guarded {
	t.Helper()
	g := guarded{calls: new(calls), count: new(counters), proxy: faultproxy.New(t, endpoint)}
	p := etcdParams(backend("self"), "")
	p.TTL, p.Metrics = ttl, g.count
	p.Client, p.Endpoints = watchedClient(t, g.proxy.Addr(), who, g.calls), nil
	p.Die = func(err error) { t.Errorf("it died: %v", err) }
	p.Log, g.logged = logtest.NewNullLogger()
	g.EtcdDiscovery = newEtcd(t, p)
	return g
}

// requireCalm fails when the server asks more of an etcd that refuses it, or
// logs more, than it should.
func (g guarded) requireCalm(t testing.TB, what string) {
	t.Helper()
	const seconds = 3
	before := len(g.logged.AllEntries())
	count := g.calls.during(t, seconds*time.Second)
	warnings := len(g.logged.AllEntries()) - before
	t.Logf("%s: %v calls and %d lines of log in %d s", what, count, warnings, seconds)
	require.Less(t, sum(count), seconds*maxCallsPerSecond, what)
	require.LessOrEqual(t, warnings, seconds*maxCallsPerSecond, what)
}

func TestE11_AuthTurnedOnWhileAServerRuns(t *testing.T) {
	t.Parallel()
	endpoint := startGuardedEtcd(t, time.Minute)
	nobody := rawClient(t, endpoint)
	g := newGuarded(t, endpoint, login{}, 2*time.Second)
	register(t, g)
	enableAuth(t, nobody)
	operator := watchedClient(t, endpoint, root, new(calls))

	remove(t, operator, "t/servers/room/self") // now it has something to do that it may not
	eventually(t, sees(g), "noticed")
	err := g.SyncServers(testContext(t))
	require.ErrorIs(t, err, rpctypes.ErrUserEmpty)
	g.requireCalm(t, "key lost")
	g.proxy.Cut(faultproxy.RST)
	eventually(t, g.Stale, "the watch is refused")
	g.requireCalm(t, "watch lost")
	require.Zero(t, keyOf(t, operator, g.Self()).Count)

	_, err = operator.AuthDisable(testContext(t))
	require.NoError(t, err)
	eventually(t, func() bool { return sees(g, "self")() && g.Registered() && !g.Stale() }, "all is well again")
}

// TestE11_ExpiredToken: the token expires between renewals of the lease, and
// before whatever else there is to do.
func TestE11_ExpiredToken(t *testing.T) {
	t.Parallel()
	const tokenTTL, rounds = time.Second, 4
	endpoint := startGuardedEtcd(t, tokenTTL)
	enableAuth(t, rawClient(t, endpoint))
	operator := watchedClient(t, endpoint, root, new(calls))
	g, heard := newGuarded(t, endpoint, root, 12*time.Second), new(recorder)
	g.AddListener(heard)
	register(t, g)
	before := g.calls.soFar()["Authenticate"]
	for n := range rounds {
		// etcd looks for expired tokens once a second.
		require.False(t, pauseIsCut(t, tokenTTL+1500*time.Millisecond))
		require.NoError(t, g.SyncServers(testContext(t)))
		require.NoError(t, say(testContext(t), g.EtcdDiscovery, fmt.Sprint(n)))
		eventually(t, func() bool {
			s, ok := g.Server("self")
			return ok && s.Metadata["stack"] == fmt.Sprint(n)
		}, "the watch goes on")
	}
	logins := g.calls.soFar()["Authenticate"] - before
	t.Logf("%d logins for %d expired tokens", logins, rounds)
	require.Positive(t, logins, "the token did expire")
	require.LessOrEqual(t, logins, 4*rounds)

	g.proxy.Cut(faultproxy.RST) // a new watch with the old token
	eventually(t, func() bool { return g.IsConnected() && !g.Stale() }, "reconnected")
	put(t, operator, backend("new"))
	eventually(t, sees(g, "new", "self"), "the watch goes on")
	require.True(t, g.Registered())
	require.Zero(t, g.count.of("lost"))
	eventually(t, func() bool { return len(checkHistory(heard.events(), []string{"new", "self"})) == 0 }, "told, too")
}

func TestE11_IdleServerDoesNotLogInAgainAndAgain(t *testing.T) {
	t.Parallel()
	endpoint := startGuardedEtcd(t, time.Minute)
	enableAuth(t, rawClient(t, endpoint))
	g := newGuarded(t, endpoint, root, 6*time.Second) // late renewals of a loaded machine are another matter
	register(t, g)
	eventually(t, sees(g, "self"), "registered")
	count := g.calls.during(t, 2*g.params.TTL)
	t.Logf("calls of an idle server in two TTLs: %v", count)
	require.LessOrEqual(t, count["Authenticate"], 1, "a login is a write, and a password costs etcd much")
	require.True(t, g.Registered())
}

func TestE11_PasswordChangedWhileAServerRuns(t *testing.T) {
	t.Parallel()
	endpoint := startGuardedEtcd(t, time.Minute)
	enableAuth(t, rawClient(t, endpoint))
	operator := watchedClient(t, endpoint, root, new(calls))
	_, err := operator.UserAdd(testContext(t), "server", "old")
	require.NoError(t, err)
	_, err = operator.UserGrantRole(testContext(t), "server", "root")
	require.NoError(t, err)
	g := newGuarded(t, endpoint, login{user: "server", password: "old"}, 2*time.Second)
	register(t, g)
	eventually(t, sees(g, "self"), "registered")

	_, err = operator.UserChangePassword(testContext(t), "server", "new")
	require.NoError(t, err)
	require.ErrorIs(t, g.SyncServers(testContext(t)), rpctypes.ErrAuthFailed)
	g.proxy.Cut(faultproxy.RST)
	eventually(t, g.Stale, "the watch is refused")
	g.requireCalm(t, "password wrong")
	require.Equal(t, []string{"self"}, ids(g.Servers()), "the last view stays")

	_, err = operator.UserChangePassword(testContext(t), "server", "old")
	require.NoError(t, err)
	eventually(t, func() bool {
		return g.Registered() && !g.Stale() && keyOf(t, operator, g.Self()).Count == 1
	}, "all is well again")
	put(t, operator, backend("new"))
	eventually(t, sees(g, "new", "self"), "the watch goes on")
}
