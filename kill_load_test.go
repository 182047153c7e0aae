package cereus_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
)

// TestN01_KillUnderLoad kills one of two backends, of which discovery hears nothing,
// while calls and players' messages come. What had not begun there goes elsewhere,
// and soon. What NATS had handed over, and no handler had begun, cannot be told by
// the caller from what had: it is counted apart, from the ledger of the dead.
func TestN01_KillUnderLoad(t *testing.T) { //nolint:paralleltest // it measures times
	rounds := 3
	if long() {
		rounds = 20
	}
	w, lag := newWorld(t), watchStalls(t)
	w.start(server{kind: "vault", id: "stays", game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{lasting, patient(killTimeout)}})
	nc, err := nats.Connect(w.infra.NATSURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	var plain, idempotent, players killTally
	for round := range rounds {
		id := fmt.Sprint("killed-", round)
		killed := w.spawn("vault", id, lasting)
		until(t, "the server is known", func() bool { _, ok := front.Discovery().Server(id); return ok })
		reaches(w, front, id)
		loads := map[*killTally][]*flow{}
		for tally, opts := range map[*killTally][]cereus.CallOption{&plain: nil, &idempotent: {cereus.Idempotent()}} {
			f := newFlow(t, fmt.Sprint(id, "-", len(opts)))
			for range 2 {
				f.calls(t, front, 4*time.Millisecond, opts...)
			}
			loads[tally] = append(loads[tally], f)
		}
		forwards := newFlow(t, id+"-forward")
		for range 4 {
			forwards.pilgrim(t, front).start(10*time.Millisecond, "vault.vault.run", " 1ms")
		}
		loads[&players] = append(loads[&players], forwards)
		f := loads[&plain][0]
		until(t, "both serve", func() bool { return f.good(id) > 50 && f.good("stays") > 50 })
		at := time.Now()
		killed.kill()
		w.noticed(nc, id)
		gone := time.Now()
		good := f.good("stays")
		until(t, "the other serves", func() bool { return f.good("stays") > good+200 })
		for tally, flows := range loads {
			for _, f := range flows {
				tally.add(t, w, f.stop(), killing{server: id, at: at, gone: gone, lag: lag})
			}
		}
	}
	plain.log(t, "calls")
	idempotent.log(t, "calls, Idempotent()")
	players.log(t, "players' messages")
	require.Zero(t, plain.other+players.other, "calls failed that the dead server certainly had not taken over")
	require.Zero(t, idempotent.begun+idempotent.handedOver+idempotent.other, "idempotent calls failed")
	for _, tally := range []*killTally{&plain, &idempotent, &players} {
		require.Positive(t, len(tally.elsewhere)+len(tally.stalled))
		require.Less(t, percentile(tally.elsewhere, 100), killTimeout/10+lag.most())
		require.Less(t, percentile(tally.behind, 100), killTimeout/4+lag.most())
	}
}

// noticed waits until NATS has: a moment passes between the end of a process and
// that of its subscriptions.
func (w *world) noticed(nc *nats.Conn, id string) {
	w.t.Helper()
	until(w.t, "NATS has noticed", func() bool {
		_, err := nc.Request(w.prefix+"servers/vault/"+id, nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	})
}

// killTimeout is far above what a failover takes: also those that were given up
// with the dead server are told long before.
const killTimeout = 10 * time.Second

// killing is when a server was killed, and when NATS gave it nothing more.
type killing struct {
	server   string
	at, gone time.Time
	lag      *stalls
}

// killTally is what became of the calls around killings.
type killTally struct {
	calls, begun, handedOver, other int
	elsewhere                       []time.Duration // of calls under way or begun soon after, answered by the other
	behind                          []time.Duration // the same, of players with an earlier message that had no outcome yet
	failed                          []time.Duration // of those that failed
	quiet                           []time.Duration
	stalled                         []time.Duration // the same as elsewhere, while the machine stalled
}

func (k *killTally) add(t testing.TB, w *world, all []*ending, kill killing) {
	t.Helper()
	exactlyOnce(t, all, killTimeout+patience/10+kill.lag.most())
	dead, began := w.began(kill.server), w.began()
	unknown := make(map[*pilgrim]time.Time) // until when nobody knew what became of a player's message
	for _, e := range all {
		if e.err != nil && e.player != nil && e.until().After(unknown[e.player]) {
			unknown[e.player] = e.until()
		}
	}
	for _, e := range all {
		k.calls++
		switch {
		case e.err == nil && e.until().Before(kill.at):
			k.quiet = append(k.quiet, e.took)
		case e.err == nil && e.until().After(kill.at) && kill.lag.within(e.began, e.until()):
			k.stalled = append(k.stalled, e.took)
		case e.err == nil && e.until().After(kill.at) && e.began.Before(unknown[e.player]):
			k.behind = append(k.behind, e.took)
		case e.err == nil && e.server == "stays" && e.began.Before(kill.gone.Add(time.Second)):
			k.elsewhere = append(k.elsewhere, e.took)
		case e.err == nil:
		case lost(e.err) && dead[e.id] > 0:
			k.begun++
			k.failed = append(k.failed, e.took)
		case lost(e.err) && e.began.Before(kill.gone):
			k.handedOver++
			k.failed = append(k.failed, e.took)
			require.Zero(t, began[e.id], "%s failed and ran", e.id)
		default:
			k.other++
			t.Errorf("%s, %v after the killing: %v", e.id, e.began.Sub(kill.at), e.err)
		}
	}
}

func (k *killTally) log(t testing.TB, name string) {
	t.Helper()
	t.Logf(`%s: %d calls; failed: %d had begun, %d were handed over and had not, %d others
	answered by the other server around the killing: %d, p50 %v p99 %v max %v (goal: failover under 50ms; quiet: p50 %v p99 %v)
	the same while the machine stalled: %d, max %v
	of players with a message that nobody knew of, which keeps their next ones back: %d, p50 %v max %v
	those that failed were told after p50 %v max %v (timeout %v)`,
		name, k.calls, k.begun, k.handedOver, k.other,
		len(k.elsewhere), percentile(k.elsewhere, 50), percentile(k.elsewhere, 99), percentile(k.elsewhere, 100),
		percentile(k.quiet, 50), percentile(k.quiet, 99),
		len(k.stalled), percentile(k.stalled, 100),
		len(k.behind), percentile(k.behind, 50), percentile(k.behind, 100),
		percentile(k.failed, 50), percentile(k.failed, 100), killTimeout)
}
