package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// Request sends arg to a handler and decodes its response into reply. Both go
// through the server's serializer: any JSON value, or a proto.Message. A []byte
// as arg and a *[]byte as reply are the raw payload; a nil arg is an empty payload,
// a nil reply drops the response.
//
// The error is an *errs.Error when the server sent one: errors.Is with the
// sentinels of errs works. No response in time gives errs.CodeTimeout around
// context.DeadlineExceeded, a connection that ended gives errs.CodeClosed around
// the *CloseError; in both cases the handler may have run.
func (c *Client) Request(ctx context.Context, route string, arg, reply any) error {
	data, err := c.encode(arg)
	if err != nil {
		return err
	}
	response, err := c.RequestRaw(ctx, route, data)
	if err != nil || reply == nil {
		return err
	}
	return c.Decode(response, reply)
}

// RequestRaw is Request with payloads as they are. The result is the caller's.
// While more than 4 MiB wait to be sent it waits, too.
func (c *Client) RequestRaw(ctx context.Context, route string, data []byte) ([]byte, error) {
	w := c.waiters.Get().(*waiter)
	deadline := int64(math.MaxInt64)
	if _, ok := ctx.Deadline(); !ok {
		deadline = now() + int64(c.timeout)
	}
	id, err := c.sendWaiting(ctx, func() (uint32, error) {
		return c.send(route, data, deadline, w.done)
	})
	if err != nil {
		c.waiters.Put(w)
		return nil, err
	}
	select {
	case r := <-w.result:
		c.waiters.Put(w)
		return r.data, r.err
	case <-ctx.Done():
	}
	if _, mine := c.calls.take(uint64(id)); mine {
		c.waiters.Put(w)
		return nil, givenUp(ctx, route)
	}
	r := <-w.result // it is coming this very moment
	c.waiters.Put(w)
	return r.data, r.err
}

// Go sends a request and returns at once. If it returns nil, done is called
// exactly once: with the response, the server's *errs.Error, errs.CodeTimeout
// after the client's timeout, or errs.CodeClosed. done runs on a goroutine of the
// client, which reads nothing meanwhile: it must not block, nor call Request or
// Close. Its data is valid only until it returns.
//
// With more than 4 MiB waiting to be sent Go returns errs.CodeBusy.
func (c *Client) Go(route string, data []byte, done func(data []byte, err error)) error {
	_, err := c.send(route, data, now()+int64(c.timeout), done)
	return err
}

// Notify sends arg to a handler that does not answer. It returns when the message
// is on its way to the connection: an error of the handler is never seen.
func (c *Client) Notify(ctx context.Context, route string, arg any) error {
	data, err := c.encode(arg)
	if err != nil {
		return err
	}
	return c.NotifyRaw(ctx, route, data)
}

// NotifyRaw is Notify with the payload as it is.
func (c *Client) NotifyRaw(ctx context.Context, route string, data []byte) error {
	m := protocol.Message{Type: protocol.MessageNotify, Route: route, Data: data}
	_, err := c.sendWaiting(ctx, func() (uint32, error) {
		return 0, c.closedAs(c.queue.message(&m, c.encoding()))
	})
	return err
}

// InFlight is the number of requests that have no response yet.
func (c *Client) InFlight() int { return c.calls.inFlight() }

// send registers a call and queues its request. On an error done is never called.
func (c *Client) send(route string, data []byte, deadline int64, done func([]byte, error)) (uint32, error) {
	id, err := c.calls.add(call{route: route, deadline: deadline, done: done})
	if err != nil {
		return 0, c.closedAs(err)
	}
	m := protocol.Message{Type: protocol.MessageRequest, ID: uint64(id), Route: route, Data: data}
	err = c.queue.message(&m, c.encoding())
	if err == nil {
		return id, nil
	}
	if _, mine := c.calls.take(uint64(id)); !mine {
		return id, nil // done was called, or is about to be
	}
	return 0, c.closedAs(err)
}

// sendWaiting repeats send as long as the queue is full and ctx lasts.
func (c *Client) sendWaiting(ctx context.Context, send func() (uint32, error)) (uint32, error) {
	for {
		if ctx.Err() != nil {
			return 0, givenUp(ctx, "not sent")
		}
		id, err := send()
		if !errors.Is(err, errQueueFull) {
			return id, err
		}
		select {
		case <-c.queue.roomy():
		case <-ctx.Done():
		case <-c.done:
		}
	}
}

func (c *Client) encoding() protocol.Encoding { return protocol.Encoding{Dictionary: c.dictionary} }

// closedAs puts why the connection ended into an error that only says it did.
func (c *Client) closedAs(err error) error {
	if !errors.Is(err, errs.ErrClosed) {
		return err
	}
	if reason := c.reason.Load(); reason != nil {
		return errs.Wrap(errs.CodeClosed, reason)
	}
	return err // it is ending this very moment
}

// givenUp is the error of a call whose context ended.
func givenUp(ctx context.Context, route string) error {
	err := fmt.Errorf("client: request %s: %w", route, ctx.Err())
	if errors.Is(err, context.DeadlineExceeded) {
		return errs.Wrap(errs.CodeTimeout, err)
	}
	return err
}

// waiter is where RequestRaw waits. It is used for one call after the other.
type waiter struct {
	result chan result
	done   func([]byte, error) // bound once, so that a call allocates nothing for it
}

type result struct {
	data []byte
	err  error
}

func newWaiter() *waiter {
	w := &waiter{result: make(chan result, 1)}
	w.done = func(data []byte, err error) { w.result <- result{data: bytes.Clone(data), err: err} }
	return w
}
