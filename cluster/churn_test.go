package cluster

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// stormServers are on etcd at once.
	stormServers = 50
	// stormProxies are between etcd and two servers of five.
	stormProxies = 4
	// shortStorm is how long it lasts, and longStorm with CEREUSTEST_ROWS=long;
	// CEREUSTEST_CHURN is any other time. Before and after it take some seconds more.
	shortStorm = 22 * time.Second
	longStorm  = 10 * time.Minute
	// everything happens in a storm of this length.
	everything = 2 * time.Minute
	// slowly is more than what comes back after the last fault should take.
	slowly = 6 * time.Second
)

// Random churn and faults, of which everything is written down that etcd did and
// that every server was told. Afterwards the one has to explain the other: each
// view told just what etcd's history asks for, in its order, once. CEREUSTEST_SEED
// repeats the choices of a run, though not its timing.
//
// It has the machine to itself, for others' sake.
func TestChurn_TheViewsTellEtcdsHistory(t *testing.T) { //nolint:paralleltest // see above
	seed, length := stormSeed(t), stormLength(t)
	if end, ok := t.Deadline(); ok && time.Until(end) < length+time.Minute {
		require.FailNow(t, "there is no time for it", "use -timeout=%v", 2*length)
	}
	t.Logf("CEREUSTEST_SEED=%d, %v of churn", seed, length)
	s := newStorm(t, seed)
	began := time.Now()
	s.gather(t)
	t.Logf("%d servers are registered after %v", stormServers, time.Since(began).Round(time.Millisecond))
	s.rage(t, length)
	began = time.Now()
	s.calm(t)
	t.Logf("all views are equal %v after the last fault", time.Since(began).Round(time.Millisecond))
	s.part(t)
	began = time.Now()
	faults := s.check(rand.New(rand.NewPCG(seed, 0)))
	t.Logf("checked in %v", time.Since(began).Round(time.Millisecond))
	s.summarize(t)
	for _, kind := range surely(length) {
		if s.acts[kind] == 0 {
			t.Errorf("CEREUSTEST_SEED=%d: %s: it never happened, in %v", seed, kind, length)
		}
	}
	for _, fault := range faults {
		t.Errorf("CEREUSTEST_SEED=%d: %s", seed, fault)
	}
}

// surely is what happens in a storm of a length, whatever the dice say: what is left
// out next to never. What failed does not count.
func surely(length time.Duration) []string {
	if length < shortStorm {
		return nil
	}
	kinds := []string{"edit", "register", "resume", "proxy flaps", "etcd restarts", "compactions"}
	if length < everything {
		return kinds
	}
	return append(kinds,
		"crash", "restart", "pause", "deregister", "sync", "proxy refuses", "proxy ends", "proxy freezes", "proxy freezes all", "proxy delays",
		"lease revoked", "key deleted", "same value put", "edited by operator", "leader set", "leader unset", "leader key deleted",
		"pitaya server put", "pitaya server deleted", "garbage put", "nonce changed")
}

func stormSeed(t testing.TB) uint64 {
	t.Helper()
	given := os.Getenv("CEREUSTEST_SEED")
	if given == "" {
		return rand.Uint64() >> 40
	}
	seed, err := strconv.ParseUint(given, 10, 64)
	require.NoError(t, err, "CEREUSTEST_SEED")
	return seed
}

func stormLength(t testing.TB) time.Duration {
	t.Helper()
	given := os.Getenv("CEREUSTEST_CHURN")
	switch {
	case given != "":
		length, err := time.ParseDuration(given)
		require.NoError(t, err, "CEREUSTEST_CHURN")
		return length
	case os.Getenv("CEREUSTEST_ROWS") == "long":
		return longStorm
	}
	return shortStorm
}

// within is a context for something that must not take longer than a test waits.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 3*patience)
}
