package cereus_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
)

const orderSessions = 64

// orderCase is one run of TestOrderOverLameDuck.
type orderCase struct {
	together bool // all servers are on the node that leaves
	each     int  // notifies of a session
}

// ledger is what one backend saw of each session. The messages of a session run
// one after the other, so that its line needs no lock.
type ledger struct {
	total *atomic.Int64 // of all backends
	seen  [orderSessions]line
}

type line struct {
	last     uint32
	count    int
	disorder []string
	ran      []bool
}

func newLedger(total *atomic.Int64, each int) *ledger {
	l := &ledger{total: total}
	for i := range l.seen {
		l.seen[i].ran = make([]bool, each+1)
	}
	return l
}

func (l *ledger) Routes(r *component.Routes) { component.NotifyRaw(r, "count", l.note) }

func (l *ledger) note(_ context.Context, body []byte) {
	at := &l.seen[binary.BigEndian.Uint32(body)]
	n := binary.BigEndian.Uint32(body[4:])
	if n <= at.last && len(at.disorder) < 10 {
		at.disorder = append(at.disorder, fmt.Sprintf("%d after %d", n, at.last))
	}
	at.last = n
	at.count++
	at.ran[n] = true
	l.total.Add(1)
}

// TestOrderOverLameDuck sends notifies as fast as they go through a frontend to
// two backends while a NATS node goes into lame duck mode: each backend sees each
// session's in the order sent, and nothing is missing or runs twice.
func TestOrderOverLameDuck(t *testing.T) {
	t.Parallel()
	t.Run("all on the leaving node", func(t *testing.T) { orderOverLameDuck(t, orderCase{together: true, each: 5000}) })
	t.Run("on both nodes", func(t *testing.T) { orderOverLameDuck(t, orderCase{each: 1000}) })
}

func orderOverLameDuck(t *testing.T, c orderCase) {
	ctx := context.Background()
	infra, err := embedded.Start(ctx, embedded.WithNATSNodes(2), embedded.WithLameDuck(patience, patience+time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	w := worldOn(t, infra)
	var total atomic.Int64
	ledgers := []*ledger{newLedger(&total, c.each), newLedger(&total, c.each)}
	if c.together { // everybody connects to the node that leaves later
		require.NoError(t, infra.StopNATS(ctx, 1))
	}
	var backs []*cereus.App
	for i, l := range ledgers {
		backs = append(backs, w.start(server{kind: "room", id: fmt.Sprint("room-", i), game: func(app *cereus.App) {
			require.NoError(t, app.Register(l, component.WithName("ledger")))
		}}))
	}
	front := w.start(server{kind: "connector", front: true, config: []change{func(c *config.Config) {
		c.Heartbeat.Interval = patience // a busy machine is no reason to hang up
	}}})
	if c.together {
		require.NoError(t, infra.RestartNATS(ctx, 1))
	}
	sees(t, front, "room", 2)

	var players []*player
	for range orderSessions {
		players = append(players, dial(t, front))
	}
	started := time.Now()
	sent := make(chan error, orderSessions)
	for i, p := range players {
		go func() { sent <- flood(p, i, c.each) }()
	}
	all := int64(orderSessions * c.each)
	progress(t, &total, all/3)
	require.NoError(t, infra.LameDuck(0))
	for range players {
		require.NoError(t, <-sent)
	}
	progress(t, &total, all)
	t.Logf("%d notifies in %s", all, time.Since(started).Round(time.Millisecond))
	verify(t, ledgers, players, c.each)
	for _, app := range append(backs, front) {
		require.Zero(t, metric(t, app, "cereus_rpc_conflicts_total"))
		if c.together {
			require.Equal(t, 2, metric(t, app, "cereus_nats_reconnects_total"), "both connections moved")
		}
	}
}

func flood(p *player, session, each int) error {
	for n := uint32(1); n <= uint32(each); n++ {
		body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(session)), n)
		if err := p.NotifyRaw(context.Background(), "room.ledger.count", body); err != nil {
			return fmt.Errorf("session %d, notify %d: %w", session, n, err)
		}
	}
	return nil
}

// progress waits until total is n, as long as it rises.
func progress(t *testing.T, total *atomic.Int64, n int64) {
	t.Helper()
	check := time.NewTicker(tick)
	defer check.Stop()
	last, since := int64(-1), time.Now()
	for range check.C {
		now := total.Load()
		if now >= n {
			return
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > patience {
			t.Errorf("%d of %d messages ran, and no more came", now, n)
			return
		}
	}
}

func verify(t *testing.T, ledgers []*ledger, players []*player, each int) {
	t.Helper()
	ran := 0
	for session, p := range players {
		require.NoError(t, p.Err(), "session %d", session)
		var missing []int
		for n := 1; n <= each; n++ {
			if !ledgers[0].seen[session].ran[n] && !ledgers[1].seen[session].ran[n] {
				missing = append(missing, n)
			}
		}
		require.Empty(t, missing, "missing of session %d", session)
		for server, l := range ledgers {
			require.Empty(t, l.seen[session].disorder, "session %d on server %d", session, server)
			ran += l.seen[session].count
		}
	}
	require.Equal(t, orderSessions*each, ran, "every message ran once")
}
