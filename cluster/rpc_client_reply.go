package cluster

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// inboxPrefix begins every reply subject, as with any NATS client (wire.md 7).
const inboxPrefix = "_INBOX."

// receive completes the calls that a message brings replies to.
func (c *RPCClient) receive(m message) {
	if len(m.subject) <= len(c.inbox) {
		return
	}
	token, bundled := strings.CutPrefix(m.subject[len(c.inbox):], bundleMark)
	var err error
	switch {
	case !bundled:
		err = c.receiveOne(token, m)
	case m.undelivered:
		err = c.endBundle(token, c.bounce)
	case token != "":
		err = c.endBundle(token, c.misunderstood)
	default:
		err = eachBundled(m.data, func(token, body []byte) {
			_ = c.receiveOne(string(token), message{data: bytes.Clone(body)}) // a token is a number
		})
	}
	if err != nil {
		c.metrics.CountRPC(EventMalformed)
	}
}

// receiveOne completes the call that a reply belongs to. Replies that are late,
// or come twice (wire.md section 18, trap 6), find no call.
func (c *RPCClient) receiveOne(text string, m message) error {
	token, err := strconv.ParseUint(text, 36, 64)
	if err != nil {
		return err
	}
	call, ok := c.pending.take(token)
	switch {
	case !ok:
		c.metrics.CountRPC(EventLateReply)
	case m.undelivered:
		c.bounce(call)
	default:
		call.complete(m.data, nil)
	}
	return nil
}

// endBundle has end complete the calls of a bundle, in the order of sending: who
// sends those again that reached nobody goes by it.
func (c *RPCClient) endBundle(bundle string, end func(pendingCall)) error {
	token, err := strconv.ParseUint(bundle, 36, 64)
	if err != nil {
		return err
	}
	for _, call := range c.pending.takeBundle(token) {
		end(call)
	}
	return nil
}

// misunderstood completes a call of a bundle that was answered as one request:
// the server came back as a version that takes no bundles.
func (c *RPCClient) misunderstood(call pendingCall) {
	c.metrics.CountRPC(EventMaybe)
	call.complete(nil, errMisunderstood)
}

var errMisunderstood = errs.New(errs.CodeUnavailable,
	"the server has become one of another version, which did not understand: the call may have run").With("maybe", "true")

func (c *RPCClient) bounce(call pendingCall) {
	c.metrics.CountRPC(EventUndelivered)
	call.complete(nil, errNoResponders)
}

// sending implements sendTracker.
func (c *RPCClient) sending(token, epoch, bundle uint64) bool {
	return c.pending.sending(token, epoch, bundle)
}

// unsent implements sendTracker.
func (c *RPCClient) unsent(token uint64, err error) {
	if call, ok := c.pending.take(token); ok {
		c.metrics.CountRPC(EventUndelivered)
		call.complete(nil, err)
	}
}

// unsure implements sendTracker.
func (c *RPCClient) unsure(token uint64) {
	if call, ok := c.pending.take(token); ok {
		c.metrics.CountRPC(EventMaybe)
		call.complete(nil, errMaybe)
	}
}

// connectionLost implements connectionWatcher.
func (c *RPCClient) connectionLost(epoch uint64) {
	for _, call := range c.pending.takeEpoch(epoch) {
		c.metrics.CountRPC(EventMaybe)
		call.complete(nil, errMaybe)
	}
}

// outstanding implements connectionWatcher.
func (c *RPCClient) outstanding(epoch uint64) int { return c.pending.inEpoch(epoch) }

// expired completes a call that got no reply in time.
func (c *RPCClient) expired(call pendingCall) {
	c.metrics.CountRPC(EventTimeout)
	call.complete(nil, c.timeoutError(call.info))
}

// timeoutError is the error of wire.md 4.2 for PIT-408.
func (c *RPCClient) timeoutError(call callInfo) error {
	err := errs.Wrap(errs.ErrRequestTimeout.Code, errNoAnswer)
	err.Metadata = map[string]string{
		"timeout": call.timeout.String(),
		"route":   call.route,
		"server":  c.self.ID,
		"peer.id": call.to.ID,
	}
	return err
}

// decodeResponse returns the response in data, or the error inside it: its
// presence, not its code, makes a reply an error (wire.md 9.6).
func decodeResponse(data []byte) (*clusterpb.Response, error) {
	resp := new(clusterpb.Response)
	if err := unmarshalResponse(data, resp); err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err)
	}
	if resp.Error == nil {
		return resp, nil
	}
	code := errs.Code(resp.Error.GetCode())
	if code == "" {
		code = errs.CodeInternal
	}
	failure := &errs.Error{Code: code, Message: resp.Error.GetMsg(), Metadata: resp.Error.GetMetadata()}
	if resp.NotRun {
		return nil, &refusedError{failure}
	}
	return nil, failure
}
