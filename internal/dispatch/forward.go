package dispatch

import (
	"time"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/router"
)

// leastTime is the shortest remaining time with which a call is still sent.
const leastTime = time.Millisecond

// forward is a client's message on its way to another server.
type forward struct {
	box   *Inbox
	m     message
	meta  metadata
	lane  *lane  // of the last attempt
	seq   uint64 // on the wire
	first uint64 // seq of the first attempt
	began uint64 // target's tick
	epoch uint64
	had   time.Duration // time to answer, of the last attempt
	again *target       // where to send it again when only the way changed
	tried []targetKey   // runs that it found gone: later ones may have reached them since

	before, after *forward // of the inbox's forwards without an outcome
}

// forward sends the first message of the queue, or parks the inbox.
func (b *Inbox) forward(m message) {
	f := &forward{box: b, m: m}
	t, err := f.choose()
	if err != nil {
		b.pop()
		b.fail(&m, err)
		return
	}
	if b.admit(f, t) {
		f.meta = newMetadata(time.Now())
		f.send(t)
	}
}

// resend sends f, which was not delivered, to a server that it did not try.
func (b *Inbox) resend(f *forward) {
	t, err := f.choose()
	if err != nil {
		b.dropRetry(f)
		b.fail(&f.m, err)
		return
	}
	if b.readmit(f, t) {
		b.d.Metrics.RPCFailover()
		f.send(t)
	}
}

// choose picks the server for f, or says why there is none.
func (f *forward) choose() (*target, error) {
	d := f.box.d
	if f.remaining() < leastTime {
		return nil, errs.ErrRequestTimeout.With("route", f.m.route.text)
	}
	if f.again != nil && d.usable(f.again) {
		return f.again, nil
	}
	s := f.box.session
	server, err := d.pick(s.Context(), router.Call{
		Route: f.m.route.Route, ServerType: f.m.route.ServerType, Kind: router.ToHandler,
		Frontend: d.Self.ID, SessionID: s.ID(), UID: f.m.facts(s).uid, Build: buildOf(s), Payload: f.m.data,
	}, f.tried)
	if err != nil {
		return nil, err
	}
	return d.target(server), nil
}

// remaining is what is left of a request's time since it was read. A notify has
// nobody who stops waiting: late is better than lost.
func (f *forward) remaining() time.Duration {
	d := f.box.d
	if f.m.notify {
		return d.Limits.Timeout
	}
	return d.Limits.Timeout - (d.clock.now() - f.m.at)
}

func (f *forward) send(t *target) {
	timeout := max(f.remaining(), leastTime)
	f.had = timeout
	lane := f.lane // f may have its outcome, and another lane, when Go returns
	t.vitals.calls.Add(1)
	d, e := f.box.d, f.box.d.envelope()
	d.client.Go(t.server, f.request(e, timeout), timeout, f.done)
	d.putEnvelope(e)
	f.box.sent(lane)
}

// request is what travels: wire.md 9.1, and for a server of ours the facts of order.
func (f *forward) request(e *envelope, timeout time.Duration) *clusterpb.Request {
	d, s := f.box.d, f.box.session
	told := f.m.facts(s)
	e.session.Id, e.session.Uid, e.session.Data = s.ID(), told.uid, told.data
	e.msg.Id, e.msg.Route, e.msg.Data = f.m.id, f.m.route.full, f.m.data
	if f.m.notify {
		e.msg.Type = clusterpb.MsgType_MsgNotify
	}
	req := e.seal(&f.meta, hop{
		peerID: d.Self.ID, peerType: d.Self.Type, route: f.m.route.full, timeout: timeout,
	})
	req.Session, req.FrontendID = &e.session, d.Self.ID
	if f.lane.target.server.Has(constants.CapOrder) {
		req.Sequence, req.OrderEpoch = f.seq, f.epoch
		req.FrontendNonce = d.Self.Nonce
		req.RemainingUs = timeout.Microseconds()
	}
	return req
}

// done takes the outcome of one attempt. It runs on the client's goroutine.
func (f *forward) done(resp *clusterpb.Response, err error) {
	b, t := f.box, f.lane.target
	b.d.outcome(t, f.had, err) // before f tries again, and f before what waits behind it
	switch {
	case cluster.IsGone(err):
		began := f.began
		f.again, f.tried = nil, append(f.tried, keyOf(t.server))
		b.retry(f)
		t.bounce(began)
	case cluster.IsMoved(err):
		f.again = t
		b.retry(f)
		t.release()
	default:
		b.observe(&f.m, metrics.KindForward, err) // before the answer: who has it finds it counted
		if f.m.id != 0 && !f.m.notify {
			b.out.Respond(f.m.id, resp.GetData(), f.failure(err), true)
		}
		b.leave(f)
	}
}

// failure is what the client is told. A timeout that this server noticed names
// the time since the message was read, not that of the last attempt.
func (f *forward) failure(err error) *errs.Error {
	e, d := asError(err), f.box.d
	if e == nil || e.Code != errs.CodeTimeout || e.Metadata["server"] != d.Self.ID || e.Metadata["route"] != f.m.route.full {
		return e
	}
	return e.With("timeout", d.Limits.Timeout.String())
}

func asError(err error) *errs.Error {
	if err == nil {
		return nil
	}
	return errs.From(err)
}
