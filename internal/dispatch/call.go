package dispatch

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// Call is what the context of a handler or remote knows of the call it serves.
type Call struct {
	Route string // as received
	meta  metadata

	// The facts of a call that began with a client's message are made up only
	// when somebody asks: most handlers never do.
	clock *clock        // nil: meta has them
	began time.Duration // when the message was read, on the clock
	once  sync.Once
}

// RequestID is the correlation id that all calls of one client request share.
func (c *Call) RequestID() string { return c.facts().requestID }

// facts is what the call passes on to others.
func (c *Call) facts() *metadata {
	if c.clock != nil {
		c.once.Do(c.begin)
	}
	return &c.meta
}

func (c *Call) begin() {
	facts := newMetadata(time.Now().Add(c.began - c.clock.now()))
	c.meta.requestID, c.meta.began = facts.requestID, facts.began
}

type callKey struct{}

// FromContext returns the call that ctx serves, or nil outside of one.
func FromContext(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// WithValue returns a context whose calls carry key with the JSON form of value,
// over any number of hops (wire.md 9.3 "others"). Well-known keys are refused.
func WithValue(ctx context.Context, key string, value any) (context.Context, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return ctx, errs.Wrap(errs.CodeBadRequest, err)
	}
	next, err := withOther(FromContext(ctx), key, raw)
	if err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, callKey{}, next), nil
}

func withOther(from *Call, key string, raw json.RawMessage) (*Call, error) {
	if key == "" || strings.HasPrefix(key, constants.MetadataPrefix) || wellKnown(key) {
		return nil, errs.New(errs.CodeBadRequest, "this context key belongs to the framework; choose another").With("key", key)
	}
	if mustBeObject(key) && raw[0] != '{' {
		return nil, errs.New(errs.CodeBadRequest, "the value of this context key has to be an object of texts").With("key", key)
	}
	next := &Call{}
	if from != nil {
		next.Route, next.meta = from.Route, *from.facts()
	}
	next.meta.others = next.meta.others.with(key, raw)
	return next, nil
}

// mustBeObject: anything else breaks a Pitaya server that receives it (wire.md 9.3).
func mustBeObject(key string) bool {
	return key == constants.OtelSpanKey || key == constants.OpenTracingSpanKey || key == constants.MetricTagsKey
}

// Value reads into v what the caller, or a caller before it, gave WithValue for
// key. It reports false when there is none.
func Value(ctx context.Context, key string, v any) (bool, error) {
	c := FromContext(ctx)
	if c == nil {
		return false, nil
	}
	raw, ok := c.meta.others.values()[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return true, errs.Wrap(errs.CodeBadRequest, err)
	}
	return true, nil
}

// callContext is the context of one call. It makes the timer of its deadline
// only when somebody waits for it: most handlers never do.
type callContext struct {
	context.Context // of the session or of the server
	call            Call
	deadline        time.Time         // zero: none
	in              *cluster.Incoming // whose caller may cancel the call; nil: nobody

	mu     sync.Mutex // guards the fields below
	timed  context.Context
	cancel context.CancelFunc
	stop   context.CancelCauseFunc
}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return &c.call
	}
	return c.source().Value(key)
}

// source is what values are taken from: the context that is waited for, once
// there is one, because package context looks there for the cause of its end.
func (c *callContext) source() context.Context {
	if c.deadline.IsZero() {
		return c.Context
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil || c.timed == over {
		return c.Context
	}
	return c.timed
}

func (c *callContext) Deadline() (time.Time, bool) {
	if c.deadline.IsZero() {
		return c.Context.Deadline()
	}
	return c.deadline, true
}

func (c *callContext) Done() <-chan struct{} { return c.waitable().Done() }

func (c *callContext) Err() error { return c.waitable().Err() }

// waitable is the context that is done at the deadline, or when the caller
// cancels the call. Only from here on anybody hears of that.
func (c *callContext) waitable() context.Context {
	if c.deadline.IsZero() {
		return c.Context
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.cancellable(), c.deadline)
	}
	return c.timed
}

// cancellable is the context that is done when the caller cancels the call.
func (c *callContext) cancellable() context.Context {
	if c.in == nil {
		return c.Context
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancelCause(c.Context)
	stop := c.stop
	c.in.OnCancel(func() { stop(errs.ErrCancelled) })
	return ctx
}

// finish releases the timer. A context of a call with a deadline is done once
// the call is over, also when nobody had waited for it.
func (c *callContext) finish() {
	if c.deadline.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed = over
	} else if c.cancel != nil {
		c.cancel()
	}
	if c.stop != nil {
		c.stop(nil)
	}
}

// over is the context of a finished call; it never changes.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
