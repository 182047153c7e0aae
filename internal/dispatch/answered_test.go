package dispatch

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/metrics"
)

// looker is a client's connection that looks at its server while it takes an answer.
type looker struct {
	*player
	look func()
}

func (l *looker) Respond(id uint64, data []byte, failure *errs.Error, more bool) {
	l.look()
	l.player.Respond(id, data, failure, more)
}

// Who has an answer finds it counted, and nothing of it in flight any more.
func TestAnAnswerIsCountedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	var err error
	w.metrics, err = metrics.New(metrics.Params{})
	require.NoError(t, err)
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	p := w.player(front)
	var requests, inFlight atomic.Int64
	p.inbox.out = &looker{p, func() {
		requests.Store(w.timed(t))
		inFlight.Store(int64(front.d.InFlight()))
	}}
	for id, route := range []string{"game.echo", "game.exit", "room.game.echo", "room.game.nothing", "nowhere.game.echo"} {
		p.request(uint64(id)+1, route)
		_ = p.answer(t, uint64(id)+1)
		require.EqualValues(t, id+1, requests.Load(), route)
		require.Zero(t, inFlight.Load(), route)
	}
}

// timed is how many requests of clients the metrics have.
func (w *world) timed(t *testing.T) (n int64) {
	families, err := w.metrics.Registry().Gather()
	if err != nil {
		t.Error(err)
	}
	for _, f := range families {
		if f.GetName() != "cereus_request_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			n += int64(m.GetHistogram().GetSampleCount())
		}
	}
	return n
}
