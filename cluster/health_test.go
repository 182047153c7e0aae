package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// switchable is a check that fails with what fault holds.
func switchable() (HealthCheck, *atomic.Pointer[error]) {
	fault := new(atomic.Pointer[error])
	return HealthCheck{Name: "switch", Check: func(context.Context) error {
		if err := fault.Load(); err != nil {
			return *err
		}
		return nil
	}}, fault
}

func TestHealth_OutOfTheListAndBack(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher, heard := newEtcd(t, etcdParams(nil, endpoint)), new(recorder)
	watcher.AddListener(heard)
	check, fault := switchable()
	broken := errors.New("the database is away")
	fault.Store(&broken)
	p := etcdParams(backend("self"), endpoint)
	p.Health = Health{Checks: []HealthCheck{check}, Interval: 10 * time.Millisecond, Passes: 2}
	d := newEtcd(t, p)
	register(t, d)
	require.False(t, d.Registered(), "kept out from the start")
	require.ErrorContains(t, d.Unhealthy(), "switch: the database is away")
	for range 2 {
		fault.Store(nil)
		eventually(t, sees(watcher, "self"), "it is in the list")
		require.NoError(t, d.Unhealthy())
		fault.Store(&broken)
		eventually(t, sees(watcher), "it is out of the list")
		require.Error(t, d.Unhealthy())
	}
	all := []string{"add self", "remove self left", "add self", "remove self left"}
	eventually(t, func() bool { return slices.Equal(all, heard.events()) }, "the listener is told after the view")
	require.NoError(t, d.Deregister(testContext(t)))
	fault.Store(nil)
	eventually(t, func() bool { return d.Unhealthy() == nil }, "healthy")
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Empty(t, d.Servers(), "who was deregistered does not come back")
}

func TestHealth_FewFailuresAreNone(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	p := etcdParams(backend("self"), startEtcd(t).EtcdEndpoints()[0])
	p.Health = Health{Interval: time.Millisecond, Checks: []HealthCheck{{Name: "flaky", Check: func(context.Context) error {
		if runs.Add(1)%3 == 1 {
			return nil
		}
		return errors.New("two of three times") // never three in a row
	}}}}
	log := new(counters)
	p.Metrics = log
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "joined")
	before := d.Servers()[0].Epoch
	eventually(t, func() bool { return runs.Load() > 100 }, "checked often")
	require.True(t, d.Registered())
	require.Equal(t, before, d.Servers()[0].Epoch, "it never left")
}

func TestHealth_ACheckThatReturnedIsNotStillRunning(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	check, _ := switchable()
	g := newHealthGate(Health{Checks: []HealthCheck{check}}.withDefaults(), logrus.New(), lifecycle.NewGroup(ctx))
	for range 10_000 {
		require.NoError(t, g.round(ctx))
	}
}

func TestHealth_ACheckThatEndedItsGoroutineIsAskedAgain(t *testing.T) {
	t.Parallel()
	ctx, odd := testContext(t), true
	g := newHealthGate(Health{Checks: []HealthCheck{{Name: "odd", Check: func(context.Context) error {
		if odd {
			runtime.Goexit()
		}
		return nil
	}}}}.withDefaults(), logrus.New(), lifecycle.NewGroup(ctx))
	require.ErrorContains(t, g.round(ctx), "odd: the check ended its goroutine")
	odd = false
	require.NoError(t, g.round(ctx))
}

func TestHealth_ChecksThatMisbehave(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	defer close(stuck)
	panics := func(context.Context) error { panic("boom") }
	hangs := func(context.Context) error { <-stuck; return nil }
	exits := func(context.Context) error { runtime.Goexit(); return nil }
	for name, c := range map[string]struct {
		check    func(context.Context) error
		interval time.Duration
	}{
		"panic: boom":       {panics, time.Millisecond},
		"ended its":         {exits, time.Millisecond},
		"took longer than":  {hangs, time.Hour}, // what the first round says
		"has not returned ": {hangs, time.Millisecond},
	} {
		p := etcdParams(backend("self"), startEtcd(t).EtcdEndpoints()[0])
		p.Health = Health{Interval: c.interval, Timeout: 20 * time.Millisecond, Checks: []HealthCheck{{Name: "odd", Check: c.check}}}
		d := newEtcd(t, p)
		register(t, d)
		eventually(t, func() bool { err := d.Unhealthy(); return err != nil && strings.Contains(err.Error(), name) }, name)
		require.False(t, d.Registered())
	}
}

func TestHealth_Kinds(t *testing.T) {
	t.Parallel()
	status := atomic.Int64{}
	status.Store(http.StatusNoContent)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer web.Close()
	require.NoError(t, CheckHTTP(web.URL).run(testContext(t)))
	status.Store(http.StatusFound)
	require.ErrorContains(t, CheckHTTP(web.URL).run(testContext(t)), "302")
	status.Store(http.StatusInternalServerError)
	require.ErrorContains(t, CheckHTTP(web.URL).run(testContext(t)), "500")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, CheckTCP(address).run(testContext(t)))
	require.NoError(t, l.Close())
	require.ErrorContains(t, CheckTCP(address).run(testContext(t)), "tcp "+address)

	_, err = NewEtcdDiscovery(EtcdParams{Self: backend("a"), Endpoints: []string{"e"}, Health: Health{Failures: -1, Checks: []HealthCheck{{Name: "x"}}}})
	require.ErrorContains(t, err, "must not be negative")
	require.ErrorContains(t, err, "a name and a function")
}
