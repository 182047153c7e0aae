package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coder/websocket"
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

// maxKickReason bounds what is kept of a kick's body, in bytes.
const maxKickReason = 4096

// CloseError says why a connection ended.
type CloseError struct {
	Reason     Reason
	KickReason string // what the server put into its kick, mostly nothing
	Status     int    // WebSocket close code, 0 when there was none
	StatusText string // text of the WebSocket close

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
type kick struct{ reason string }

func (c *Client) kicked(reason string) {
	if c.kick.CompareAndSwap(nil, &kick{reason: reason}) {
		c.group.Go("client.kicked", func(ctx context.Context) {
			wait := time.NewTimer(lastWords)
			defer wait.Stop()
			select {
			case <-ctx.Done():
			case <-wait.C:
				c.end(&CloseError{Reason: ReasonKicked, KickReason: reason})
			}
		})
	}
}

// parseKick finds the reason in a kick's body: {"reason":"..."}, or plain text.
func parseKick(body []byte) string {
	body = body[:min(len(body), maxKickReason)]
	var said struct {
		Reason any `json:"reason"`
	}
	if json.Unmarshal(body, &said) != nil {
		return strings.ToValidUTF8(string(body), "\uFFFD")
	}
	switch reason := said.Reason.(type) {
	case nil:
		return ""
	case string:
		return reason
	default:
		return fmt.Sprint(reason)
	}
}

// explain turns the error that ended reading or writing into a CloseError.
func (c *Client) explain(err error) *CloseError {
	e := &CloseError{Reason: ReasonServer, cause: err}
	if status, ok := errors.AsType[websocket.CloseError](err); ok {
		e.Status, e.StatusText = int(status.Code), status.Reason
	}
	if k := c.kick.Load(); k != nil {
		e.Reason, e.KickReason = ReasonKicked, k.reason
	} else if isProtocol(err) {
		e.Reason = ReasonProtocol
	}
	return e
}
