package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// read is the reader: it dispatches what comes until the connection ends, then
// fails the calls that are left.
func (c *Client) read(early [][]byte) {
	err := c.replay(early)
	for err == nil {
		err = c.readPacket()
	}
	c.end(c.explain(err))
	reason := errs.Wrap(errs.CodeClosed, c.reason.Load())
	for _, lost := range c.calls.close() {
		c.finish(lost, nil, reason)
	}
	close(c.done)
}

func (c *Client) replay(early [][]byte) error {
	for _, body := range early {
		if err := c.receive(body); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) readPacket() error {
	kind, body, err := c.transport.next()
	if err != nil {
		return err
	}
	c.alive.Store(busy)
	switch kind {
	case protocol.PacketData:
		err = c.receive(body)
	case protocol.PacketKick:
		c.kicked(kick{protocol.ParseKick(body)})
	}
	c.alive.Store(now())
	return err
}

// receive handles the body of a data packet.
func (c *Client) receive(body []byte) error {
	m, err := protocol.DecodeMessage(body, protocol.Decoding{
		Dictionary: c.dictionary, MaxInflated: c.inflated, MaxRatio: -1, // the server is trusted that far
	})
	if err != nil {
		return violated(err)
	}
	switch m.Type {
	case protocol.MessagePush:
		c.pushed(m.Route, m.Data)
	case protocol.MessageResponse:
		c.respond(&m)
	default:
		return violated(fmt.Errorf("the server sent a %s", m.Type))
	}
	return nil
}

// respond finishes the call that m answers. Nobody waits for a response that
// came after its deadline.
func (c *Client) respond(m *protocol.Message) {
	waiting, ok := c.calls.take(m.ID)
	if !ok {
		return
	}
	if !m.Err {
		c.finish(waiting, m.Data, nil)
		return
	}
	failure, err := protocol.DecodeError(c.codec, m.Data)
	if err != nil {
		failure = errs.Wrap(errs.CodeInternal, fmt.Errorf("client: the error response cannot be read: %w", err))
	}
	c.finish(waiting, nil, failure)
}

// finish calls done and survives its panic.
func (c *Client) finish(w call, data []byte, err error) {
	defer c.survive(w.route)
	w.done(data, err)
}

// late finishes the calls that got no response in time.
func (c *Client) late() {
	for _, w := range c.calls.sweep(now()) {
		err := fmt.Errorf("client: request %s: no response within %s: %w", w.route, c.timeout, context.DeadlineExceeded)
		c.finish(w, nil, errs.Wrap(errs.CodeTimeout, err))
	}
}

func isProtocol(err error) bool {
	_, ok := errors.AsType[*protocolError](err)
	return ok
}
