package dispatch

import (
	"context"
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// How servers are probed that do not answer, or that nobody was found at.
const (
	probeTimeout  = time.Second
	probePause    = time.Second
	probePauseMax = 5 * time.Second
	wakingPause   = 10 * time.Millisecond  // of a server that goes on: it soon serves
	goneCheck     = 300 * time.Millisecond // between finding nobody and giving up what is under way
	windowSilence = time.Second            // a full window and no answer for so long: it may hang
)

// finding is what a probe found out.
type finding int

const (
	ignorance  finding = iota // it could not be asked
	silence                   // no answer in time
	life                      // this run of the server answered
	waking                    // it answered, and takes for old what comes
	absence                   // nobody is there
	succession                // another run has taken the server's place
)

// probe calls a remote of the server that costs nothing. A server that does not
// have it, as Pitaya's, answers that; that is an answer.
func (d *Dispatcher) probe(ctx context.Context, t *target) finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	e, c := d.envelope(), OutgoingCall{Route: t.server.Type + "." + routeProbe}
	resp, err := d.client.Call(ctx, t.server, d.request(ctx, e, t.server, c, d.timeLeft(ctx)))
	d.putEnvelope(e)
	nonce := string(resp.GetData())
	switch {
	case err == nil && t.server.Cereus() && nonce != t.server.Nonce:
		return succession
	case err == nil || answered(err):
		return life
	case takenForOld(err):
		return waking
	case cluster.IsGone(err):
		return absence
	case cluster.IsTimedOut(err):
		return silence
	}
	return ignorance
}

// probeUntilItAnswers ends that t is passed over for hanging, when it answers.
func (d *Dispatcher) probeUntilItAnswers(t *target) {
	if !t.vitals.probed.CompareAndSwap(false, true) {
		return
	}
	started := d.group.Go("probe", func(ctx context.Context) {
		d.followUp(ctx, t)
		t.vitals.probed.Store(false)
		if ctx.Err() == nil && t.vitals.hung.Load() && d.stillKnows(t) { // since followUp looked
			d.probeUntilItAnswers(t)
		}
	})
	if !started {
		t.vitals.probed.Store(false)
	}
}

// followUp probes t until it answers, or is not known any more.
func (d *Dispatcher) followUp(ctx context.Context, t *target) {
	for pause := probePause; d.stillKnows(t); pause = min(2*pause, probePauseMax) {
		switch d.probe(ctx, t) {
		case life:
			d.answers(t)
			return
		case absence:
			d.foundNobody(t)
		case succession:
			d.abandon(t)
		case silence:
			d.hangs(t)
		case waking:
			pause = wakingPause
		case ignorance:
		}
		if !wait(ctx, pause) || !t.vitals.hung.Load() {
			return
		}
	}
}

func (d *Dispatcher) stillKnows(t *target) bool {
	known, ok := d.targets.Load(keyOf(t.server))
	return ok && known == t
}

// doubt has t probed when its window is full and it has not answered anything
// for a while: those who wait for a place should not wait for timeouts.
func (d *Dispatcher) doubt(t *target) {
	if time.Duration(int64(d.clock.now())-t.vitals.heard.Load()) > windowSilence {
		d.probeUntilItAnswers(t)
	}
}

// lookAgain finds out whether a server that nobody was found at stays away, and
// gives up the calls it may have been working on.
func (d *Dispatcher) lookAgain(t *target) { d.check(t, goneCheck) }

// check probes t after a pause and gives its calls up if it is not there.
func (d *Dispatcher) check(t *target, pause time.Duration) {
	if t.vitals.calls.Load() == 0 || !t.vitals.checked.CompareAndSwap(false, true) {
		return
	}
	started := d.group.Go("gone check", func(ctx context.Context) {
		defer t.vitals.checked.Store(false)
		if wait(ctx, pause) && !d.leaves(t) {
			switch d.probe(ctx, t) {
			case absence, succession:
				d.abandon(t)
			case ignorance, silence, life, waking:
			}
		}
	})
	if !started {
		t.vitals.checked.Store(false)
	}
}

// leaves reports whether the server said that it goes: it then answers what it
// accepted, although it does not listen any more.
func (d *Dispatcher) leaves(t *target) bool {
	s, ok := d.discovery.Server(t.server.ID)
	return ok && s.Nonce == t.server.Nonce && (s.State == cluster.StateLeft || s.State == cluster.StateDraining)
}

// abandon fails what the server will not answer any more.
func (d *Dispatcher) abandon(t *target) {
	t.giveUp()
	if n := d.client.Abandon(t.server); n > 0 {
		d.Metrics.RPCAbandoned(n)
		d.Log.WithFields(t.fields()).WithField("calls", n).Warn("a server is gone; the calls that it was working on failed")
	}
}

// wait reports false when ctx ends first.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
