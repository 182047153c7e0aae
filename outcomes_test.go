package cereus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

const (
	outcomeTimeout  = 3 * time.Second
	outcomePatience = outcomeTimeout + time.Second // nothing hangs past this
	outcomeBackends = 4
	outcomeFronts   = 3
)

// TestOutcomes_ExactlyOneEach: calls from three frontends to four backends while
// backends are killed and new ones come, NATS restarts, and the ways to it are cut
// and frozen. Each call has one outcome, in time; nothing runs twice that is not
// idempotent, and what was answered did run. Calls that no fault concerns are
// answered, and take hardly longer than before.
//
// CEREUSTEST_SEED repeats the choices of a run, though not its timing.
func TestOutcomes_ExactlyOneEach(t *testing.T) { //nolint:paralleltest // it measures times
	quiet, faulty, rounds := 6*time.Second, 16*time.Second, 3
	if long() {
		quiet, faulty, rounds = time.Minute, 10*time.Minute, 1
	}
	if end, ok := t.Deadline(); ok && time.Until(end) < quiet+faulty+2*time.Minute {
		require.FailNow(t, "there is no time for it", "use -timeout=%v", 2*(quiet+faulty))
	}
	s := newSiege(t)
	for round := range rounds {
		before := s.load(t, fmt.Sprint("quiet-", round), quiet, func() { s.bystander(t) })
		during := s.load(t, fmt.Sprint("faults-", round), faulty, func() { s.strike(t) })
		if s.outcomes(t, before, during) < 3 {
			return
		}
	}
	require.Fail(t, "calls that no fault concerned took 3 times as long as before", "in each of %d rounds: one says more of the machine", rounds)
}

// outcomes asserts what is so on every machine, and is how many times the p99 of a
// quiet run the calls took that no fault concerned.
func (s *siege) outcomes(t *testing.T, before, during phase) float64 {
	t.Helper()
	lag := s.lag.most()

	calm, healthy := s.healthy(before), s.healthy(during)
	logOutcomes(t, s, before, during)
	ratio := float64(healthy.p99()) / float64(calm.p99())
	t.Logf(`of calls that no fault concerned, on a machine that did not stall
	quiet:  %v
	faults: %v
	p99 %.2f times that of the quiet run (goal: under 3); the machine stalled for up to %v`, calm, healthy, ratio, lag.Round(time.Millisecond))
	for _, e := range before.all {
		require.NoError(t, e.err, "%s, in the quiet run", e.id)
	}
	exactlyOnce(t, during.all, outcomePatience+lag)
	s.unconcernedAreAnswered(t, during)
	began := s.began()
	for _, e := range during.all {
		if !e.idempotent() {
			require.LessOrEqual(t, began[e.id], 1, "%s began", e.id)
		}
		if e.err == nil {
			require.Positive(t, began[e.id], "%s was answered", e.id)
		}
	}
	return float64(healthy.p99()) / float64(max(calm.p99(), outcomeFloor))
}

// outcomeFloor is what the p99 of a quiet run counts for at least: less says more
// of the machine than of the calls.
const outcomeFloor = 5 * time.Millisecond

func (e *ending) idempotent() bool { return strings.Contains(e.id, "idempotent") }

// siege is a cluster and what is done to it.
type siege struct {
	*world
	random *rand.Rand
	lag    *stalls
	fronts []*cereus.App
	backs  []*garrison
	made   int
	ways   []*faultproxy.Proxy // of the last frontend and of the last backend
	faults []fault
}

// garrison is a backend in a process of its own.
type garrison struct {
	*child
	id string
}

// fault is what was done from when to when, and to whom.
type fault struct {
	name          string
	server, front string // concerned; "" both: everybody
	from, to      time.Time
}

func newSiege(t *testing.T) *siege {
	ctx := context.Background()
	infra, err := embedded.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	s := &siege{world: worldOn(t, infra), random: seeded(t), lag: watchStalls(t)}
	for range 2 {
		s.ways = append(s.ways, faultproxy.New(t, strings.TrimPrefix(infra.NATSURL(), "nats://")))
	}
	for range outcomeBackends - 1 {
		s.backs = append(s.backs, s.enlist("vault", mortal))
	}
	s.backs = append(s.backs, s.enlist("vault", mortal, through(s.ways[1])))
	for i := range outcomeFronts {
		changes := []change{mortal, patient(outcomeTimeout)}
		if i == outcomeFronts-1 {
			changes = append(changes, through(s.ways[0]))
		}
		front := s.start(server{kind: "connector", id: fmt.Sprint("front-", i), front: true, config: changes})
		s.fronts = append(s.fronts, front)
	}
	s.settle(t)
	return s
}

// mortal has those that were killed be forgotten at some time.
func mortal(c *config.Config) { c.Cluster.SD.Etcd.Heartbeat.TTL = 10 * time.Second }

// through has both connections go through a proxy.
func through(p *faultproxy.Proxy) change {
	return func(c *config.Config) {
		c.Cluster.RPC.Client.NATS.Connect = config.URLs("nats://" + p.Addr())
		c.Cluster.RPC.Server.NATS.Connect = c.Cluster.RPC.Client.NATS.Connect
	}
}

// enlist starts a backend with a new id: nobody waits for the lease of a dead one.
func (s *siege) enlist(kind string, changes ...change) *garrison {
	s.made++
	id := fmt.Sprint(kind, "-", s.made)
	return &garrison{s.spawn(kind, id, changes...), id}
}

// settle waits until every frontend reaches every backend, also by calls that may
// choose another one.
func (s *siege) settle(t *testing.T) {
	t.Helper()
	for _, front := range s.fronts {
		for _, back := range s.backs {
			reaches(s.world, front, back.id)
		}
		s.choosesAll(t, front)
	}
}

// choosesAll waits until every backend was chosen for a call of front.
func (s *siege) choosesAll(t *testing.T, front *cereus.App) {
	t.Helper()
	missing := make(map[string]bool)
	for _, back := range s.backs {
		missing[back.id] = true
	}
	until(t, front.Server().ID+" chooses every backend", func() bool {
		var out []byte
		if front.RPC(t.Context(), "vault.vault.ping", &out, nil, cereus.WithTimeout(time.Second)) == nil {
			delete(missing, string(out))
		}
		return len(missing) == 0
	})
}

// phase is the calls of some time.
type phase struct {
	all    []*ending
	length time.Duration
}

// load has everybody call, and does something again and again meanwhile.
func (s *siege) load(t *testing.T, name string, length time.Duration, something func()) phase {
	t.Helper()
	var flows []*flow
	began := time.Now()
	for i, front := range s.fronts {
		calls, again, players := newFlow(t, fmt.Sprint(name, "-call-", i)), newFlow(t, fmt.Sprint(name, "-idempotent-", i)), newFlow(t, fmt.Sprint(name, "-player-", i))
		calls.calls(t, front, 20*time.Millisecond)
		again.calls(t, front, 50*time.Millisecond, cereus.Idempotent())
		for range 4 {
			players.pilgrim(t, front).start(100*time.Millisecond, "vault.vault.run", " 1ms")
		}
		for _, f := range []*flow{calls, again, players} {
			f.front = front.Server().ID
		}
		flows = append(flows, calls, again, players)
	}
	for time.Since(began) < length {
		require.NoError(t, idle(t.Context(), time.Duration(500+s.random.IntN(1000))*time.Millisecond))
		something()
	}
	p := phase{length: time.Since(began)}
	for _, f := range flows {
		p.all = append(p.all, f.stop()...)
	}
	return p
}

// bystander starts and kills a server that nobody calls: that costs the machine as
// much in a quiet run as in the other.
func (s *siege) bystander(t *testing.T) {
	t.Helper()
	s.enlist("bystander", mortal).kill()
	require.NoError(t, idle(t.Context(), time.Second))
}

// strike does one thing to the cluster, and waits until it is well again.
func (s *siege) strike(t *testing.T) {
	t.Helper()
	i := len(s.faults)
	strikes := []func(*testing.T) fault{s.kill, s.kill, s.restart, s.cutBackend, s.freezeBackend, s.cutFrontend, s.freezeFrontend}
	f := fault{from: time.Now()}
	pick := s.random.IntN(len(strikes))
	if i < 3 { // each kind at least once
		pick = []int{1, 2, 3 + s.random.IntN(4)}[i]
	}
	done := strikes[pick](t)
	done.from = f.from
	s.settle(t)
	done.to = time.Now()
	s.faults = append(s.faults, done)
}

func (s *siege) kill(t *testing.T) fault {
	i := s.random.IntN(outcomeBackends - 1) // the last one has a way of its own
	id := s.backs[i].id
	s.backs[i].child.kill()
	require.NoError(t, idle(t.Context(), time.Duration(s.random.IntN(500))*time.Millisecond))
	s.backs[i] = s.enlist("vault", mortal)
	return fault{name: "kill", server: id}
}

func (s *siege) restart(t *testing.T) fault {
	ctx := context.Background()
	require.NoError(t, s.infra.StopNATS(ctx, 0))
	require.NoError(t, idle(t.Context(), time.Duration(s.random.IntN(1000))*time.Millisecond))
	require.NoError(t, s.infra.RestartNATS(ctx, 0))
	return fault{name: "nats"}
}

func (s *siege) backend() fault  { return fault{server: s.backs[outcomeBackends-1].id} }
func (s *siege) frontend() fault { return fault{front: s.fronts[outcomeFronts-1].Server().ID} }

func (s *siege) cutBackend(t *testing.T) fault     { return s.cut(t, s.ways[1], s.backend()) }
func (s *siege) cutFrontend(t *testing.T) fault    { return s.cut(t, s.ways[0], s.frontend()) }
func (s *siege) freezeBackend(t *testing.T) fault  { return s.freeze(t, s.ways[1], s.backend()) }
func (s *siege) freezeFrontend(t *testing.T) fault { return s.freeze(t, s.ways[0], s.frontend()) }

// cut flaps: connections end and nobody can connect, five times.
func (s *siege) cut(t *testing.T, way *faultproxy.Proxy, f fault) fault {
	f.name = "cut"
	for range 5 {
		require.NoError(t, way.Refuse())
		way.Cut([]faultproxy.Ending{faultproxy.RST, faultproxy.FIN}[s.random.IntN(2)])
		require.NoError(t, idle(t.Context(), time.Duration(s.random.IntN(100))*time.Millisecond))
		require.NoError(t, way.Accept())
		require.NoError(t, idle(t.Context(), time.Duration(s.random.IntN(300))*time.Millisecond))
	}
	return f
}

// freeze lets nothing through for a time that may or may not be noticed.
func (s *siege) freeze(t *testing.T, way *faultproxy.Proxy, f fault) fault {
	f.name = "freeze"
	way.Pause(faultproxy.All)
	require.NoError(t, idle(t.Context(), time.Duration(200+s.random.IntN(4000))*time.Millisecond))
	way.Resume()
	return f
}

// concerns reports whether the fault had to do with a call.
func (f *fault) concerns(e *ending) bool {
	if e.began.After(f.to) || e.until().Before(f.from) {
		return false
	}
	return f.server == "" && f.front == "" || f.front == e.front ||
		f.server != "" && (f.server == e.server || e.err != nil)
}

// behind reports whether an earlier message of the same player was concerned: the
// later one waits for its outcome, for the sake of their order.
func (s *siege) behind(p phase) map[*ending]bool {
	last, behind := make(map[*pilgrim]time.Time), make(map[*ending]bool)
	for _, e := range p.all { // in the order of each player
		if e.player == nil {
			continue
		}
		behind[e] = e.began.Before(last[e.player])
		if (e.err != nil || behind[e] || s.concerned(e)) && e.until().After(last[e.player]) {
			last[e.player] = e.until()
		}
	}
	return behind
}

// unconcernedAreAnswered asserts that only calls failed that a fault concerned. A
// timeout while the machine stalled says nothing.
func (s *siege) unconcernedAreAnswered(t *testing.T, p phase) {
	t.Helper()
	behind := s.behind(p)
	for _, e := range p.all {
		if s.concerned(e) || behind[e] || errs.CodeOf(e.err) == errs.CodeTimeout && s.lag.within(e.began, e.until()) {
			continue
		}
		require.NoError(t, e.err, "%s, which no fault concerned, failed after %v", e.id, e.took)
	}
}

func (s *siege) concerned(e *ending) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.concerns(e) })
}

// wellness is how long answered calls took that no fault concerned.
type wellness struct {
	took            []time.Duration
	behind, stalled []time.Duration // those that are not counted
}

func (w *wellness) p99() time.Duration { return percentile(w.took, 99) }

func (w *wellness) String() string {
	return fmt.Sprintf("%d, p50 %v p99 %v (besides: %d behind a player's earlier message, p99 %v; %d while the machine stalled, p99 %v)",
		len(w.took), short(w.took, 50), short(w.took, 99), len(w.behind), short(w.behind, 99), len(w.stalled), short(w.stalled, 99))
}

// healthy leaves out the idempotent ones: one that is made again after a share of
// its time does not tell who answered first.
func (s *siege) healthy(p phase) *wellness {
	var w wellness
	behind := s.behind(p)
	for _, e := range p.all {
		switch {
		case e.err != nil || e.idempotent() || s.concerned(e):
		case behind[e]:
			w.behind = append(w.behind, e.took)
		case s.lag.within(e.began, e.until()):
			w.stalled = append(w.stalled, e.took)
		default:
			w.took = append(w.took, e.took)
		}
	}
	return &w
}
