package cereus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// contender is a frontend that users race for, in this process or one of its own.
type contender struct {
	id         string
	addr       string
	etcd, nats *faultproxy.Proxy
	app        *cereus.App // nil in a child
	child      *child
	started    int // how many there were before it
}

// ring is where two frontends are raced for.
type ring struct {
	*world
	raw    *clientv3.Client
	watch  *cereus.App // a backend that asks where users are
	a, b   *contender
	killed bool   // b, in this round
	kinds  [2]int // of the blows of this round, to a and b
}

func newRing(t *testing.T) *ring {
	r := &ring{world: newWorld(t)}
	r.raw, r.watch = r.etcd(), r.start(server{kind: "room"})
	r.a, r.b = r.contender(), r.contender()
	r.a.id = "door-a"
	r.a.app = r.start(server{kind: "door", id: "door-a", front: true, game: halls(t), config: []change{r.a.behind}})
	r.a.addr = r.a.app.Addrs()[0].String()
	r.spawnB()
	return r
}

func (r *ring) contender() *contender {
	return &contender{
		etcd: faultproxy.New(r.t, hostOf(r.infra.EtcdEndpoints()[0])),
		nats: faultproxy.New(r.t, hostOf(r.infra.NATSURLs()[0])),
	}
}

func (c *contender) behind(cfg *config.Config) {
	cfg.Cluster.SD.Etcd.Endpoints = []string{c.etcd.Addr()}
	cfg.Cluster.RPC.Client.NATS.Connect = config.URLs("nats://" + c.nats.Addr())
	cfg.Cluster.RPC.Server.NATS.Connect = config.URLs("nats://" + c.nats.Addr())
	cfg.Cluster.SD.Etcd.Heartbeat.TTL = 10 * time.Second
	cfg.Heartbeat.Interval = patience
}

// spawnB starts the second frontend, which has another id every time.
func (r *ring) spawnB() {
	r.t.Helper()
	r.b.started++
	r.b.id = fmt.Sprintf("door-b%d", r.b.started)
	c, err := json.Marshal(r.config(r.b.behind))
	require.NoError(r.t, err)
	r.b.child = spawn(r.t, "door", childConfig+"="+string(c), "CEREUS_TEST_ID="+r.b.id)
	r.b.addr = r.b.child.addr
	until(r.t, "a sees b", func() bool { _, ok := r.a.app.Discovery().Server(r.b.id); return ok })
}

// login is one attempt of a round.
type login struct {
	*client.Client
	at         *contender
	err        error
	start, end time.Duration
}

func (r *ring) dial(at *contender) *login {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, at.addr, client.WithTimeout(patience))
	require.NoError(r.t, err)
	return &login{Client: c, at: at}
}

func (l *login) live() bool {
	select {
	case <-l.Done():
		return false
	default:
		return l.err == nil
	}
}

// What happens to a frontend in a round.
const (
	nothing   = iota
	cutNATS   // what is on its way is lost
	pauseNATS // for a while, and then what is on its way is lost
	revokeLease
	cutEtcd
	kill // the second frontend
)

// blow does something to a frontend, and returns what ends it.
func (r *ring) blow(c *contender, kind int) (heal func()) {
	heal = func() {}
	switch kind {
	case nothing:
	case cutNATS:
		c.nats.Cut(faultproxy.RST)
	case pauseNATS:
		c.nats.Pause(faultproxy.All)
		heal = func() { c.nats.Cut(faultproxy.RST); c.nats.Resume() }
	case revokeLease:
		r.revoke(c)
	case cutEtcd:
		c.etcd.Cut(faultproxy.RST)
	case kill:
		_ = c.child.cmd.Process.Kill() // it is there: nobody else ends it
		r.killed = true
	}
	return heal
}

func (r *ring) revoke(c *contender) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := r.raw.Get(ctx, r.prefix+"servers/door/"+c.id)
	if err == nil && len(resp.Kvs) > 0 {
		_, _ = r.raw.Revoke(ctx, clientv3.LeaseID(resp.Kvs[0].Lease)) // it may have ended by itself
	}
}

// round races for one user, and checks who has it afterwards.
func (r *ring) round(n int, kinds [2]int) time.Duration {
	r.t.Helper()
	uid, began := fmt.Sprint("user-", n), time.Now()
	logins := []*login{r.dial(r.a), r.dial(r.b), r.dial([]*contender{r.a, r.b}[n%2])}
	defer func() {
		for _, l := range logins {
			_ = l.Close()
		}
	}()
	var racing sync.WaitGroup
	for _, l := range logins {
		wait := rand.N(4 * time.Millisecond)
		racing.Go(func() {
			<-time.After(wait)
			l.start = time.Since(began)
			_, l.err = l.RequestRaw(context.Background(), "hall.login", []byte(uid))
			l.end = time.Since(began)
		})
	}
	r.killed, r.kinds = false, kinds
	<-time.After(rand.N(4 * time.Millisecond))
	healA, healB := r.blow(r.a, kinds[0]), r.blow(r.b, kinds[1])
	<-time.After(20 * time.Millisecond)
	healA()
	healB()
	racing.Wait()
	settled := time.Now()
	if r.killed {
		until(r.t, "the killed frontend's players are gone", func() bool { return !logins[1].live() })
	}
	if !r.settles(uid, logins, r.killed) {
		require.True(r.t, r.killed || allFailed(logins), "round %d, faults %v: nobody is left: %s", n, kinds, story(logins))
		again := r.dial(r.a)
		logins = append(logins, again)
		again.start = time.Since(began)
		until(r.t, "another login", func() bool { // the frontend may still be off both etcd and NATS
			_, again.err = again.RequestRaw(context.Background(), "hall.login", []byte(uid))
			return again.err == nil
		})
		again.end = time.Since(began)
		require.True(r.t, r.settles(uid, logins, false), "round %d, faults %v, after another login: %s", n, kinds, story(logins))
	}
	took := time.Since(settled)
	require.True(r.t, r.linear(logins, time.Since(began)), "round %d, faults %v: %s", n, kinds, story(logins))
	if r.killed {
		r.spawnB()
	}
	return took
}

// settles waits until exactly one login is live and the record says so, or,
// where nobody may be left, until that is so.
func (r *ring) settles(uid string, logins []*login, maybeNobody bool) bool {
	r.t.Helper()
	one := false
	require.Eventually(r.t, func() bool {
		live := lives(logins)
		if len(live) == 0 && (maybeNobody || allFailed(logins)) {
			one = false
			return true
		}
		if len(live) != 1 {
			return false
		}
		at, err := r.watch.Locate(context.Background(), uid)
		one = err == nil && at[uid].ServerID == logins[live[0]].at.id
		return one
	}, patience, tick, "faults %v: %s", r.kinds, lazily(func() string { return story(logins) }))
	return one
}

// lazily is a Stringer for what is wanted at the end of a wait only.
type lazily func() string

func (f lazily) String() string { return f() }

func lives(logins []*login) (live []int) {
	for i, l := range logins {
		if l.live() {
			live = append(live, i)
		}
	}
	return live
}

func allFailed(logins []*login) bool {
	for _, l := range logins {
		if l.err == nil {
			return false
		}
	}
	return true
}

func story(logins []*login) string {
	var all []string
	for i, l := range logins {
		all = append(all, fmt.Sprintf("%d at %s from %v to %v: error %v, live %v", i, l.at.id, l.start, l.end, l.err, l.live()))
	}
	return strings.Join(all, "; ")
}

// blur is how close together logins count as simultaneous of which one was made
// where etcd did not answer.
const blur = 500 * time.Millisecond

// linear checks the history of a round: who is live at the end is the last of
// some order of the logins that fits their times. One that failed, or was made
// at a frontend that died, may have counted or not.
func (r *ring) linear(logins []*login, now time.Duration) bool {
	var history []porcupine.Operation
	for i, l := range logins {
		start, end := l.start, l.end
		if r.blind(l) {
			start, end = start-blur, end+blur
		}
		if l.err != nil || r.killed && l.at == r.b {
			end = now + time.Hour
		}
		history = append(history, porcupine.Operation{ClientId: i, Input: i, Call: int64(start), Return: int64(end)})
	}
	live := lives(logins)
	if len(live) != 1 {
		return false
	}
	history = append(history, porcupine.Operation{ClientId: len(logins), Input: -1, Output: live[0], Call: int64(now + blur), Return: int64(now + blur)})
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any { return -1 },
		Step: func(state, input, output any) (bool, any) {
			if input == -1 {
				return state == output, state
			}
			return true, input
		},
	}, history)
}

// blind reports whether etcd may not have answered the frontend of the login.
func (r *ring) blind(l *login) bool {
	if l.at == r.a {
		return r.kinds[0] == cutEtcd
	}
	return r.kinds[1] == cutEtcd
}

// TestS14_RacingLogins: rounds of logins of one user on two frontends at once,
// while connections to NATS and etcd are cut, leases are lost and frontends are
// killed. After each there is exactly one live session, and etcd says where.
func TestS14_RacingLogins(t *testing.T) {
	t.Parallel()
	rounds := 40
	if os.Getenv("CEREUSTEST_ROWS") == "long" {
		rounds = 300
	}
	r, lag := newRing(t), watchStalls(t)
	var slowest time.Duration
	for n := range rounds {
		kinds := [2]int{n % kill, rand.IntN(kill)}
		switch n % 10 {
		case 5:
			kinds = [2]int{nothing, nothing}
		case 9:
			kinds = [2]int{n / 10 % kill, kill}
		}
		took := r.round(n, kinds)
		if kinds == [2]int{nothing, nothing} {
			require.Less(t, took, time.Second+lag.most(), "round %d: the other was not kicked in time", n)
		}
		if kinds[1] != kill { // else a lease has to run out
			slowest = max(slowest, took)
		}
	}
	t.Logf("the slowest of %d rounds was settled after %v", rounds, slowest.Round(time.Millisecond))
}
