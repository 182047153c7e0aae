package dispatch

import (
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// hungAfter is how many calls in a row a server lets time out until it is
// passed over and probed, or, if they were in a hurry, probed first.
const hungAfter = 3

// fairTime is how long a server must have had for timeouts to tell that it hangs;
// less only when calls have less by default.
const fairTime = time.Second

// fair reports whether an answer could be expected in a time. A client's message
// that waited here for a moment has a little less than the default.
func (d *Dispatcher) fair(had time.Duration) bool { return had >= min(fairTime, d.Limits.Timeout*9/10) }

// vitals are the signs of life of a target.
type vitals struct {
	calls   atomic.Int64 // calls and forwards to it that have no outcome
	heard   atomic.Int64 // on the dispatcher's clock: when it last answered something
	late    atomic.Int32 // calls in a row that it let time out
	missed  atomic.Int32 // those of them that gave it a fair time
	hung    atomic.Bool  // it is passed over and probed
	probed  atomic.Bool  // somebody finds out whether it hangs
	checked atomic.Bool  // somebody finds out whether it is gone, or comes back
}

// outcome learns from how a call ended that had so much time.
func (d *Dispatcher) outcome(t *target, had time.Duration, err error) {
	v := &t.vitals
	v.calls.Add(-1)
	switch {
	case err == nil || answered(err):
		d.answers(t)
	case cluster.IsGone(err):
		d.foundNobody(t)
	case cluster.IsTimedOut(err):
		d.misses(t, had)
	}
}

// misses notes that t let a call time out. Calls in a hurry do not tell a slow
// route from a server that hangs: a probe has the time to.
func (d *Dispatcher) misses(t *target, had time.Duration) {
	late := t.vitals.late.Add(1)
	switch {
	case d.fair(had) && t.vitals.missed.Add(1) >= hungAfter:
		d.hangs(t)
	case late >= hungAfter:
		d.doubt(t)
	}
}

// answered reports whether an error is what the callee said. A callee may also
// pass on that somebody else's call was cancelled or lost; that tells nothing.
// Nor does one tell yet that it serves that takes calls for old.
func answered(err error) bool {
	return !cluster.IsUndelivered(err) && !cluster.IsTimedOut(err) && !cluster.IsMaybe(err) &&
		errs.CodeOf(err) != errs.CodeClosed && !takenForOld(err)
}

// takenForOld reports whether the callee refused a call because its time was
// over. A callee that stood still says so of all calls at first when it goes on,
// until it has read what waited.
func takenForOld(err error) bool {
	e := asError(err)
	return cluster.IsRefused(err) && e.Code == errs.CodeUnavailable && e.Message == errs.ErrRequestTimeout.Message
}

// answers notes a sign of life.
func (d *Dispatcher) answers(t *target) {
	t.vitals.heard.Store(int64(d.clock.now()))
	if t.vitals.late.Load() != 0 {
		t.vitals.forgive()
	}
	if t.vitals.hung.Load() {
		d.recovers(t)
	}
}

// hangs has t passed over until it answers a probe, the first of which is sent
// at once: one route that is slow does not keep a server out for long.
func (d *Dispatcher) hangs(t *target) {
	if !t.vitals.hung.CompareAndSwap(false, true) {
		return
	}
	d.reconsider(t)
	d.Metrics.RPCHung()
	d.Log.WithFields(t.fields()).Warn("a server lets calls time out; it is passed over until it answers")
	t.moveOn()
	d.probeUntilItAnswers(t)
}

// forgive has the counting of timeouts begin anew.
func (v *vitals) forgive() {
	v.late.Store(0)
	v.missed.Store(0)
}

func (d *Dispatcher) recovers(t *target) {
	t.vitals.forgive()
	if t.vitals.hung.CompareAndSwap(true, false) {
		d.reconsider(t)
		d.Log.WithFields(t.fields()).Warn("a server that was passed over answers again")
	}
}

func (t *target) fields() logrus.Fields {
	return logrus.Fields{"server": t.server.ID, "type": t.server.Type}
}

// UpdateServer takes a change that a server told of itself as a sign of life.
func (d *Dispatcher) UpdateServer(e cluster.Event) {
	if t, ok := d.targets.Load(keyOf(e.Server)); ok && e.Reason == cluster.ReasonChanged {
		d.recovers(t)
	}
}
