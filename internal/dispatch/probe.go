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
	gonePause     = 100 * time.Millisecond // before the first probe of a server that nobody was found at
	gonePauseMax  = 800 * time.Millisecond // less than passOver: who stays away stays passed over
	longSilence   = time.Second            // a full window, or calls in a hurry, and no answer for so long: it may hang
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
		found := ignorance
		if !t.vitals.checked.Load() { // else seek asks it already
			found = d.probe(ctx, t)
		}
		switch found {
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

// doubt has t probed if it has not answered anything for a while. It is called
// when its window is full, because those who wait for a place should not wait for
// timeouts, and when those who call it do not wait long enough to know.
func (d *Dispatcher) doubt(t *target) {
	if time.Duration(int64(d.clock.now())-t.vitals.heard.Load()) > longSilence {
		d.probeUntilItAnswers(t)
	}
}

// lookFor finds out after a pause whether a server is there that nobody was found
// at, or that discovery does not list any more.
func (d *Dispatcher) lookFor(t *target, pause time.Duration) {
	if !t.vitals.checked.CompareAndSwap(false, true) {
		return
	}
	started := d.group.Go("gone check", func(ctx context.Context) {
		there := d.seek(ctx, t, pause)
		t.vitals.checked.Store(false)
		if there && t.isGone(d.clock.now()) { // a call found nobody since the probe
			d.lookFor(t, gonePause)
		}
	})
	if !started {
		t.vitals.checked.Store(false)
	}
}

// seek probes t until it answers, which it reports, or another run does, or
// discovery says that it is gone. Most often it is: what somebody finds missing
// may as well be on its way back to NATS, and nobody else tells us when it is there.
func (d *Dispatcher) seek(ctx context.Context, t *target, pause time.Duration) bool {
	abandoned := false // what was sent later finds nobody, and knows that it did not run
	for began := d.clock.now(); wait(ctx, pause) && !d.leaves(t); pause = min(2*pause, gonePauseMax) {
		listed := d.lists(t) // before the probe: what is not listed is looked for once
		switch d.probe(ctx, t) {
		case life:
			d.isBack(t)
			return true
		case succession:
			d.abandon(t)
			return false
		case absence:
			if !abandoned && (!listed || d.clock.now()-began >= goneCheck) {
				d.abandon(t)
				abandoned = true
			}
			if listed {
				d.leaveOut(t)
			}
		case silence, waking:
			abandoned = false
		case ignorance:
		}
		if !listed {
			return false
		}
	}
	return false
}

// isBack has a server be chosen again that nobody was found at.
func (d *Dispatcher) isBack(t *target) {
	d.answers(t)
	t.goneUntil.Store(0)
	d.reconsider(t)
	if d.suspects != nil {
		d.suspects.Trust(t.server.ID)
	}
}

// lists reports whether discovery still has this run of the server.
func (d *Dispatcher) lists(t *target) bool {
	s, ok := d.discovery.Server(t.server.ID)
	return ok && s.Nonce == t.server.Nonce && d.stillKnows(t)
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
