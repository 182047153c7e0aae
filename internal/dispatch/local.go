package dispatch

import (
	"context"
	"errors"
	"fmt"

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

// serve runs the local handler of m and answers it.
func (b *Inbox) serve(m message) {
	if m.route.concurrent() && b.serveBeside(m) {
		return
	}
	b.answer(&m)
}

// serveBeside runs the handler on a goroutine of its own.
func (b *Inbox) serveBeside(m message) bool {
	b.mu.Lock()
	b.beside++
	b.mu.Unlock()
	started := b.d.group.Go("concurrent handler", func(context.Context) {
		defer b.leaveBeside()
		b.answer(&m)
	})
	if !started {
		b.leaveBeside()
	}
	return started
}

func (b *Inbox) leaveBeside() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beside--
	b.unparkLocked()
	b.settleLocked()
}

// errEnded answers a request whose handler ended its goroutine (runtime.Goexit).
var errEnded = errs.New(errs.CodeInternal, "the handler ended without an answer")

func (b *Inbox) answer(m *message) {
	m.route.metrics.Load().WaitedLocal(b.d.clock.now() - m.at)
	returned := false
	defer func() {
		b.inFlight().Add(-1)
		if !returned {
			b.conclude(m, nil, errEnded)
		}
	}()
	data, err := b.execute(m)
	returned = true
	b.conclude(m, data, err)
}

// conclude gives m its outcome.
func (b *Inbox) conclude(m *message, data []byte, err error) {
	b.observe(m, metrics.KindLocal, err)
	if m.id == 0 || m.notify {
		b.logLost(m, err)
		return
	}
	b.out.Respond(m.id, data, asError(err), b.more())
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
	ctx := &callContext{Context: b.session.Context(), call: Call{Route: m.route.full, clock: &b.d.clock, began: m.at}}
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
