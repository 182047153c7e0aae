package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
)

// Bounds of what is remembered of callers that wait no more.
const (
	cancelledCalls = 4096
	cancelledFor   = 10 * time.Minute
)

// cancellations knows the calls whose callers wait no more. Nothing is noted of
// a call before that: what was cancelled is remembered, by its reply subject,
// for as long as the callee would take the call for wanted, and who begins to
// serve a call or to wait for its end looks there.
//
// A reply subject has a random part that only the caller, the callee and NATS
// know, so nobody else can cancel a call.
type cancellations struct {
	remembered atomic.Int64 // len(until), to be looked at without a lock

	mu    sync.Mutex           // guards what follows
	until map[string]time.Time // by reply subject
	order []string             // of remembering, the oldest first

	watched *xsync.Map[string, func()] // to be called, once
}

func newCancellations() *cancellations {
	return &cancellations{until: make(map[string]time.Time), watched: xsync.NewMap[string, func()]()}
}

// cancel is told that the call with this reply subject is not wanted any more.
func (c *cancellations) cancel(reply string, remaining time.Duration) {
	c.remember(reply, time.Now().Add(min(remaining, cancelledFor)))
	if fn, ok := c.watched.LoadAndDelete(reply); ok {
		fn()
	}
}

func (c *cancellations) remember(reply string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.until[reply]; known {
		return
	}
	c.forgetLocked(time.Now())
	if len(c.order) == cancelledCalls {
		c.dropLocked()
	}
	c.until[reply] = until
	c.order = append(c.order, reply)
	c.remembered.Store(int64(len(c.until)))
}

// forgetLocked drops what is over, as far as it is the oldest.
func (c *cancellations) forgetLocked(now time.Time) {
	for len(c.order) > 0 && !now.Before(c.until[c.order[0]]) {
		c.dropLocked()
	}
	c.remembered.Store(int64(len(c.until)))
}

func (c *cancellations) dropLocked() {
	delete(c.until, c.order[0])
	if c.order = c.order[1:]; len(c.order) == 0 {
		c.order = nil
	}
}

// has reports whether the call was cancelled. While no call was, lately, that
// costs one atomic load.
func (c *cancellations) has(reply string) bool {
	if c.remembered.Load() == 0 {
		return false
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(now)
	until, ok := c.until[reply]
	return ok && now.Before(until)
}

// watch has fn called when the call is cancelled, at once when it was already.
func (c *cancellations) watch(reply string, fn func()) {
	c.watched.Store(reply, fn)
	if !c.has(reply) {
		return // a cancel that comes from now on finds fn
	}
	if fn, ok := c.watched.LoadAndDelete(reply); ok {
		fn()
	}
}

// Cancelled reports whether the caller said that it waits no more. Only callers
// of this framework say so.
func (in *Incoming) Cancelled() bool { return in.Wanted() && in.server.cancels.has(in.reply) }

// OnCancel has fn called, once and from any goroutine, when the caller says that
// it waits no more; at once if it has. It is not called after Reply or Discard.
// fn must not block. A second OnCancel takes the place of the first.
func (in *Incoming) OnCancel(fn func()) {
	if in.Wanted() {
		in.watched.Store(true)
		in.server.cancels.watch(in.reply, fn)
		if in.finished.Load() {
			in.unwatch() // Reply or Discard may have done so before there was something to end
		}
	}
}

// unwatch ends what OnCancel began.
func (in *Incoming) unwatch() {
	if in.watched.Load() {
		in.server.cancels.watched.Delete(in.reply)
	}
}

// receiveCancel takes word of a caller that waits no more.
func (s *RPCServer) receiveCancel(m message) {
	var cancel clusterpb.Cancel
	if decodeCancel(m.data, &cancel) != nil || !isReplyInbox(cancel.Reply) || cancel.RemainingUs < 0 {
		s.metrics.CountRPC(EventMalformed)
		return
	}
	remaining := DefaultRPCTimeout
	if us := cancel.RemainingUs; us > 0 {
		remaining = time.Duration(min(us, cancelledFor.Microseconds())) * time.Microsecond
	}
	s.metrics.CountRPC(EventCancelled)
	s.cancels.cancel(cancel.Reply, remaining)
}

// decodeCancel fills c from data.
func decodeCancel(data []byte, c *clusterpb.Cancel) error {
	return eachField(data, func(f field) error {
		switch f.number {
		case 1:
			return f.string(&c.Reply)
		case 2:
			f.int64(&c.RemainingUs)
		}
		return nil
	})
}

// hearsCancels subscribes to what callers take back, if the server says that it
// listens to it.
func (s *RPCServer) hearsCancels() []subscription {
	if !s.self.Has(constants.CapCancel) {
		return nil
	}
	return []subscription{{
		subject: s.subjects.cancel(s.self.Type, s.self.ID), deliver: s.receiveCancel, mode: deliverAny,
	}}
}
