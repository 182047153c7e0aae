package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/cereus-game/cereus/protocol"
)

// Reason says why a connection ended.
type Reason string

// The reasons of a CloseError.
const (
	ReasonKicked    Reason = "kicked"           // do not come back at once
	ReasonServer    Reason = "closed by server" // also when the network broke
	ReasonHeartbeat Reason = "heartbeat lost"   // nothing came for two heartbeats
	ReasonProtocol  Reason = "protocol error"   // the server sent bytes that make no sense
	ReasonLocal     Reason = "closed locally"   // Close was called
)

// lastWords is how long the client waits for the server to close after a kick,
// or for a kick after a write that failed.
const lastWords = time.Second

// CloseError says why a connection ended.
type CloseError struct {
	Reason     Reason
	Code       protocol.CloseCode // what the server said it is; protocol.CloseKicked for a kick without a code, 0 for a close without one, as over TCP
	KickReason string             // what the server put into its kick, mostly nothing
	Status     int                // WebSocket close code, 0 when there was none
	StatusText string             // text of the WebSocket close

	cause error
}

// Error describes the end in a line.
func (e *CloseError) Error() string {
	var b strings.Builder
	b.WriteString("client: connection ended: ")
	b.WriteString(string(e.Reason))
	if e.KickReason != "" {
		fmt.Fprintf(&b, ": %s", e.KickReason)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (WebSocket close %d %q)", e.Status, e.StatusText)
	} else if e.cause != nil && !errors.Is(e.cause, io.EOF) {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Again says whether to come back, by the code that the server gave or else by
// the reason.
func (e *CloseError) Again() protocol.Again {
	switch {
	case e.Code != 0:
		return e.Code.Again()
	case e.Reason == ReasonKicked, e.Reason == ReasonProtocol, e.Reason == ReasonLocal:
		return protocol.AgainNever
	}
	return protocol.AgainAtOnce
}

// Unwrap is the error of the connection, if there was one.
func (e *CloseError) Unwrap() error { return e.cause }

// Done is closed when the connection has ended and every request was failed.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is nil while the connection lives, then a *CloseError.
func (c *Client) Err() error {
	if reason := c.reason.Load(); reason != nil {
		return reason
	}
	return nil
}

// Close ends the connection and waits for the client's goroutines. What was sent
// before still goes out, for at most a second. Requests in flight fail with
// errs.CodeClosed. Closing again, or after the server did, does nothing. It must
// not be called from a callback, which it would wait for. It returns nil.
func (c *Client) Close() error {
	c.queue.close()
	patience := time.NewTimer(goodbye)
	defer patience.Stop()
	select {
	case <-c.written:
	case <-patience.C:
	}
	c.end(&CloseError{Reason: ReasonLocal})
	return c.group.Stop(context.Background())
}

// end ends the connection; the first reason counts.
func (c *Client) end(reason *CloseError) {
	c.ending.Do(func() {
		c.reason.Store(reason)
		c.queue.close()
		c.cancel()
		if reason.Reason == ReasonLocal {
			c.transport.close()
		} else {
			c.transport.abort()
		}
	})
}

// writeFailed ends the connection unless the reader does: a kick may still be
// waiting to be read.
func (c *Client) writeFailed(ctx context.Context, err error) {
	c.queue.close()
	wait := time.NewTimer(lastWords)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
		c.end(c.explain(err))
	}
}

// kick is a kick that was received; nothing but the server's close follows.
type kick struct{ protocol.Kick }

func (k kick) asError() *CloseError {
	return &CloseError{Reason: ReasonKicked, Code: cmp.Or(k.Code, protocol.CloseKicked), KickReason: k.Kick.Reason}
}

func (c *Client) kicked(k kick) {
	if c.kick.CompareAndSwap(nil, &k) {
		c.group.Go("client.kicked", func(ctx context.Context) {
			wait := time.NewTimer(lastWords)
			defer wait.Stop()
			select {
			case <-ctx.Done():
			case <-wait.C:
				c.end(k.asError())
			}
		})
	}
}

// explain turns the error that ended reading or writing into a CloseError.
func (c *Client) explain(err error) *CloseError {
	e := &CloseError{Reason: ReasonServer}
	if k := c.kick.Load(); k != nil {
		e = k.asError()
	} else if isProtocol(err) {
		e.Reason = ReasonProtocol
	}
	e.cause = err
	e.told(err)
	return e
}

// told takes over the close frame that err is, and reports whether it is one.
func (e *CloseError) told(err error) bool {
	status, ok := errors.AsType[websocket.CloseError](err)
	if ok {
		e.Status, e.StatusText, e.Code = int(status.Code), status.Reason, protocol.CloseCode(status.Code)
	}
	return ok
}
