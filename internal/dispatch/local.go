package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/session"
)

// newEndpoint folds a method into its pipeline. share limits what it may use of
// the workers when the method has no limit of its own.
func newEndpoint(m *component.Method, around pipeline.Middleware, share int) *endpoint {
	h := pipeline.Handler(m.Call)
	if around != nil {
		h = around(h)
	}
	if m.Limit > 0 {
		share = m.Limit
	}
	return &endpoint{method: m, handle: h, limit: int64(share)}
}

// serve runs the local handler of a step and answers it. now is the time, if it
// is known; the time when the handler had returned comes back.
func (b *Inbox) serve(s *step, now time.Duration) time.Duration {
	if s.m.route.concurrent() && b.serveBeside(s.m) {
		return unknownTime
	}
	if now == unknownTime {
		now = b.d.clock.now()
	}
	return b.answer(&s.m, now, s.more)
}

// serveBeside runs the handler on a goroutine of its own.
func (b *Inbox) serveBeside(m message) bool {
	b.mu.Lock()
	b.beside = append(b.beside, m.route)
	b.mu.Unlock()
	started := b.d.group.Go("concurrent handler", func(context.Context) {
		defer b.leaveBeside(m.route)
		b.answer(&m, b.d.clock.now(), false)
	})
	if !started {
		b.leaveBeside(m.route)
	}
	return started
}

func (b *Inbox) leaveBeside(r *route) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.beside, r)
	b.beside = slices.Delete(b.beside, i, i+1)
	b.unparkLocked()
	b.settleLocked()
}

// errEnded answers a request whose handler ended its goroutine (runtime.Goexit).
var errEnded = errs.New(errs.CodeInternal, "the handler ended without an answer")

// answer runs the handler of m, which begins now. more says that others wait
// behind m. It returns the time when the handler had returned.
func (b *Inbox) answer(m *message, now time.Duration, more bool) (end time.Duration) {
	m.route.metrics.Load().WaitedLocal(now - m.at)
	returned := false
	defer func() {
		if !returned {
			b.inFlight().Add(-1)
			b.conclude(m, outcome{err: errEnded, more: more})
		}
	}()
	data, err := b.execute(m)
	returned = true
	b.inFlight().Add(-1) // before the answer: who has it finds it counted
	return b.conclude(m, outcome{data, err, more})
}

// outcome is what became of a message.
type outcome struct {
	data []byte
	err  error
	more bool // others waited behind it
}

// conclude gives m its outcome, and returns the time of it.
func (b *Inbox) conclude(m *message, o outcome) (now time.Duration) {
	now = b.d.clock.now()
	m.route.timers(b.d, o.err).Answered(metrics.KindLocal, now-m.at, string(errs.CodeOf(o.err)))
	if m.id == 0 || m.notify {
		b.logLost(m, o.err)
		return now
	}
	b.out.Respond(m.id, o.data, asError(o.err), o.more || b.more())
	return now
}

func (b *Inbox) execute(m *message) (data []byte, err error) {
	defer b.d.guard(&err, &origin{m.route.full, b.session})
	e := m.route.local
	if e.method == nil {
		b.d.logNotFound(m.route.full)
		return nil, e.failure
	}
	if e.method.Kind == component.KindNotify && m.id != 0 && !m.notify {
		return nil, errs.ErrNotifyRoute
	}
	ctx := &localContext{Context: b.session.Context(), dispatcher: b.d, route: m.route, at: m.at}
	if e.direct {
		data, err = e.method.CallRaw(ctx, m.data)
		if m.id == 0 || m.notify {
			data = nil
		}
		return data, err
	}
	out, err := b.d.invoke(ctx, e, m.data)
	if err != nil || m.id == 0 || m.notify {
		return nil, err
	}
	return e.method.Encode(out, b.d.Serializer)
}

// guard gives err the form that travels, and makes an error of a panic: encoding
// a reply, and asking an error for its text, call methods of the application.
func (d *Dispatcher) guard(err *error, of *origin) {
	if p := recover(); p != nil {
		*err = d.panicked(p, *of)
	} else if *err != nil {
		*err = d.coded(*err, *of)
	}
}

func (d *Dispatcher) coded(err error, of origin) (coded error) {
	defer func() {
		if p := recover(); p != nil {
			coded = d.panicked(p, of)
		}
	}()
	return errs.From(err)
}

// invoke decodes the argument and runs the handler inside its pipeline.
func (d *Dispatcher) invoke(ctx context.Context, e *endpoint, data []byte) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, _ := session.FromContext(ctx)
			out, err = nil, d.panicked(p, origin{FromContext(ctx).Route, s})
		}
	}()
	arg, err := d.decode(ctx, e, data)
	if err != nil {
		return nil, decodeError(err)
	}
	return e.handle(ctx, arg)
}

// decode makes the argument. When code of its type panics, the sender's bytes are
// to blame.
func (d *Dispatcher) decode(ctx context.Context, e *endpoint, data []byte) (arg any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, _ := session.FromContext(ctx)
			arg, err = nil, errs.Wrap(errs.CodeBadRequest, d.panicked(p, origin{FromContext(ctx).Route, s}))
		}
	}()
	return e.method.Decode(data, d.Serializer)
}

func decodeError(err error) error {
	if _, ok := errors.AsType[*errs.Error](err); ok {
		return err
	}
	return errs.Wrap(errs.CodeBadRequest, err)
}

// origin is whose call something happened in.
type origin struct {
	route   string
	session *session.Session // nil: of a server
}

func (o origin) fields() logrus.Fields {
	f := logrus.Fields{"route": o.route}
	if o.session != nil {
		f["session"] = o.session.ID()
	}
	return f
}

// panicked is what a caller learns: the value, never the stack, which is logged.
func (d *Dispatcher) panicked(p any, of origin) error {
	d.Metrics.Panic("handler")
	d.Log.WithFields(of.fields()).WithField("panic", fmt.Sprint(p)).WithField("stack", stack()).Error("a handler panicked; its caller gets an error")
	if d.HidePanics != nil {
		return errs.New(errs.CodeInternal, d.HidePanics(p))
	}
	return errs.New(errs.CodeInternal, fmt.Sprint(p))
}

func (b *Inbox) observe(m *message, kind metrics.Kind, err error) {
	m.route.timers(b.d, err).Answered(kind, b.d.clock.now()-m.at, string(errs.CodeOf(err)))
}

func (b *Inbox) logLost(m *message, err error) {
	if err != nil {
		b.d.Log.WithError(err).WithField("route", m.route.text).WithField("session", b.session.ID()).
			Debug("a notify failed; its sender is not told")
	}
}
