package cluster

import (
	"context"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
)

// takeBack tells the callee that nobody waits for a call any more. At the
// deadline it knows that by itself. This is best effort: what cannot be sent
// now is not sent, and the callee works on until its deadline.
func (c *RPCClient) takeBack(ctx context.Context, token uint64, call callInfo) {
	if ctx.Err() == context.DeadlineExceeded || !call.to.Has(constants.CapCancel) {
		return
	}
	asked := outgoing{reply: c.inbox, call: c, token: token}
	body, err := c.buffers.encode(&clusterpb.Cancel{Reply: asked.replySubject(), RemainingUs: call.timeout.Microseconds()})
	if err != nil {
		return
	}
	_ = c.transport.publish(outgoing{subject: c.subjects.cancel(call.to.Type, call.to.ID), body: body})
}
