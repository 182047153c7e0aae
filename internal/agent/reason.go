package agent

import (
	"errors"
	"io"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// Why a connection was closed, as logs and metrics show it.
const (
	ReasonLeft      = "left"               // the client closed it
	ReasonBroken    = "broken"             // reset or lost
	ReasonProtocol  = "protocol error"     // bytes that wire.md 1.2, 2.1 or 3.6 refuses
	ReasonHandshake = "handshake"          // refused, or not finished in time
	ReasonTimeout   = "timeout"            // no packet for two heartbeat intervals
	ReasonFlood     = "flood"              // it sends too much
	ReasonSlow      = constants.ReasonSlow // it does not read what it is sent
	ReasonKicked    = "kicked"
	ReasonReplaced  = "replaced" // its user logged in elsewhere
	ReasonShutdown  = "shutdown" // the server stops
)

// reasonOf names the end of the reading.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, acceptor.ErrPeerClosed):
		return ReasonLeft
	case errors.Is(err, acceptor.ErrBroken), errors.Is(err, acceptor.ErrClosed), errors.Is(err, errs.ErrClosed):
		return ReasonBroken
	case errors.Is(err, acceptor.ErrDeadline):
		return ReasonHandshake
	case errors.Is(err, errFlood), errors.Is(err, acceptor.ErrFlood):
		return ReasonFlood
	}
	return ReasonProtocol
}

// statusOf is what a WebSocket client is told.
func statusOf(reason string) acceptor.CloseStatus {
	code := acceptor.CloseNormal
	switch reason {
	case ReasonProtocol:
		code = acceptor.CloseProtocol
	case ReasonHandshake, ReasonTimeout, ReasonFlood, ReasonSlow, ReasonKicked, ReasonReplaced:
		code = acceptor.ClosePolicy
	case ReasonShutdown:
		code = acceptor.CloseGoingAway
	}
	return acceptor.CloseStatus{Code: code, Reason: reason}
}
