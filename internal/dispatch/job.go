package dispatch

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	address "github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/session"
)

// ack answers a notify: it frees the caller's slot (wire.md 9.1).
const ack = "ack"

// job is a request of another server that is to be served here.
type job struct {
	d       *Dispatcher
	in      *cluster.Incoming
	route   string
	target  *endpoint // nil: there is none
	pool    *workers  // whose place it holds, with one of target; nil: none
	began   bool      // code of the application may have run
	session *session.Session

	// What every job needs, in one allocation with it.
	ctx   callContext
	reply clusterpb.Response
}

// ServeRequest takes what the RPC server received, in order, and never blocks
// (it is the cluster.RequestHandler of the app).
func (d *Dispatcher) ServeRequest(in *cluster.Incoming) {
	j := &job{d: d, in: in, route: in.Request.GetMsg().GetRoute()}
	req := in.Request
	switch req.GetType() {
	case clusterpb.RPCType_Sys:
		d.serveForward(j)
	case clusterpb.RPCType_User:
		j.target = d.remotes[shortOf(j.route)]
		d.serveOnWorker(j)
	default:
		j.fail(errs.ErrInvalidRPCType.With("route", j.route))
	}
}

// serveForward gives a client's message to its player's mailbox. What belongs
// to no player, and what may run beside others, goes to a worker.
func (d *Dispatcher) serveForward(j *job) {
	req := j.in.Request
	j.target = d.handlers[shortOf(j.route)]
	if j.target != nil && j.target.method.Concurrent || req.GetSession().GetId() == 0 {
		d.serveOnWorker(j)
		return
	}
	d.deliver(mailboxKey{
		frontend: req.GetFrontendID(), nonce: req.GetFrontendNonce(), session: req.GetSession().GetId(),
	}, j)
}

func (d *Dispatcher) serveOnWorker(j *job) {
	w := &d.workers
	if strings.HasPrefix(shortOf(j.route), serviceSys+".") {
		w = &d.sysWorkers // what handlers wait for must not wait for remotes
	}
	if !w.try(j) {
		d.Metrics.RPCBusy()
		j.fail(errs.ErrBusy)
	}
}

// run serves the job and answers it. The place is free before the answer is
// sent, so that a caller who calls again at once finds it so.
func (j *job) run() {
	j.d.Metrics.Route(j.route).WaitedRemote(time.Since(j.in.Received))
	returned := false
	defer func() {
		if !returned {
			j.release()
			j.fail(errEnded)
		}
	}()
	data, err := j.execute()
	returned = true
	j.release()
	if err != nil {
		j.fail(err)
		return
	}
	j.reply.Data = data
	j.in.Reply(&j.reply)
}

// fail answers with err. What did not begin may be sent to another server, which
// only callers of ours can make something of: those that tell their remaining time.
func (j *job) fail(err error) {
	e := errs.From(err)
	ours := j.in.Request.GetRemainingUs() > 0
	j.in.Reply(&clusterpb.Response{
		Error:  &clusterpb.Error{Code: string(e.Code), Msg: e.Error(), Metadata: e.Metadata},
		NotRun: ours && !j.began && e.Code != errs.CodeConflict, // an earlier copy may have run
	})
}

func (j *job) execute() (data []byte, err error) {
	of := origin{route: j.route}
	defer j.d.guard(&err, &of)
	if j.in.Cancelled() {
		return nil, errs.ErrCancelled.With("route", j.route)
	}
	if err := j.prepare(); err != nil {
		return nil, err
	}
	of.session = j.session
	deadline, err := j.deadline()
	if err != nil {
		return nil, err
	}
	j.in.Deadline = deadline
	if j.session == nil && j.notify() { // of a server, which waits only until it was taken
		running := j.d.inFlight.of(rand.Int64()) // no RPC server counts it any more
		running.Add(1)
		defer running.Add(-1)
		j.in.Reply(&clusterpb.Response{Data: []byte(ack)})
	}
	ctx := &j.ctx
	ctx.Context, ctx.deadline, ctx.in = j.base(), deadline, j.cancellable()
	ctx.call.Route = j.route
	defer ctx.finish()
	j.began = true
	out, err := j.d.invoke(ctx, j.target, j.in.Request.GetMsg().GetData())
	if err != nil {
		return nil, err
	}
	if j.notify() {
		return []byte(ack), nil
	}
	return j.target.method.Encode(out, j.d.Serializer)
}

// prepare checks everything that can be refused before the method runs.
func (j *job) prepare() (err error) {
	req := j.in.Request
	meta := &j.ctx.call.meta
	if *meta, err = parseMetadata(req.GetMetadata()); err != nil {
		return err
	}
	if meta.hops > constants.MaxHops {
		return errs.ErrTooManyHops.With("route", j.route)
	}
	if meta.requestID == "" {
		meta.requestID = nuid.Next()
	}
	if _, err := address.Parse(j.route); err != nil {
		return errs.ErrUndecodableRoute.With("route", j.route)
	}
	if req.GetType() == clusterpb.RPCType_User {
		return j.prepareRemote()
	}
	return j.prepareHandler()
}

func (j *job) prepareRemote() error {
	if j.target == nil {
		return errs.ErrRouteNotFound.With("route", shortOf(j.route))
	}
	return nil
}

func (j *job) prepareHandler() error {
	if j.target == nil {
		j.d.logNotFound(j.route)
		return handlerNotFound(j.route)
	}
	if j.target.method.Kind == component.KindNotify && !j.notify() {
		return errs.ErrNotifyRoute
	}
	var err error
	j.session, err = j.d.standIn(j.in.Request)
	return err
}

// cancellable is j.in when its caller may take the call back: another server
// that still waits. Nobody takes back what a client sent.
func (j *job) cancellable() *cluster.Incoming {
	if j.session != nil || !j.in.Wanted() {
		return nil
	}
	return j.in
}

func (j *job) notify() bool {
	return j.in.Request.GetMsg().GetType() == clusterpb.MsgType_MsgNotify
}

// deadline is when the caller stops waiting, told by its remaining time and
// never by a clock of two machines. Work that nobody waits for any more is not
// started; for a notify nobody ever waits, so its time begins with its handler.
func (j *job) deadline() (time.Time, error) {
	left := j.ctx.call.meta.timeout
	if us := j.in.Request.GetRemainingUs(); us > 0 && us <= math.MaxInt64/int64(time.Microsecond) {
		left = time.Duration(us) * time.Microsecond
	}
	if left == 0 {
		return time.Time{}, nil // a caller that did not say: wire.md 9.4
	}
	if j.notify() {
		return time.Now().Add(left), nil
	}
	deadline := j.in.Received.Add(left)
	if !time.Now().Before(deadline) {
		j.d.Metrics.RPCExpired()
		return deadline, errs.New(errs.CodeUnavailable, errs.ErrRequestTimeout.Message)
	}
	return deadline, nil
}

func (j *job) base() context.Context {
	if j.session == nil {
		return j.d.group.Context()
	}
	return session.NewContext(j.d.group.Context(), j.session)
}

// shortOf is the part of a route that the callee looks at: service.method (wire.md 9.1).
func shortOf(route string) string {
	dots := 0
	for i := len(route) - 1; i >= 0; i-- {
		if route[i] != '.' {
			continue
		}
		if dots++; dots == 2 {
			return route[i+1:]
		}
	}
	return route
}
