package dispatch

import (
	"context"
	"sync/atomic"
	"time"
)

// localContext is the context of a handler for this server's own client, who
// gives no deadline. Each message has one and any code may keep it, so it is
// small: what most handlers never ask for is made when one does.
type localContext struct {
	context.Context // of the session
	dispatcher      *Dispatcher
	route           *route
	at              time.Duration // when the message was read, on the dispatcher's clock
	call            atomic.Pointer[Call]
}

// Value knows the call.
func (c *localContext) Value(key any) any {
	if key == (callKey{}) {
		return c.asked()
	}
	return c.Context.Value(key)
}

func (c *localContext) asked() *Call {
	if call := c.call.Load(); call != nil {
		return call
	}
	c.call.CompareAndSwap(nil, &Call{Route: c.route.full, clock: &c.dispatcher.clock, began: c.at})
	return c.call.Load()
}
