package agent

import (
	"errors"
	"io"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// reasonOf names the end of the reading.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, acceptor.ErrPeerClosed):
		return protocol.ReasonLeft
	case errors.Is(err, acceptor.ErrBroken), errors.Is(err, acceptor.ErrClosed), errors.Is(err, errs.ErrClosed):
		return protocol.ReasonBroken
	case errors.Is(err, acceptor.ErrDeadline):
		return protocol.ReasonLate
	case errors.Is(err, acceptor.ErrSlow):
		return protocol.ReasonTimeout
	case errors.Is(err, acceptor.ErrBudget):
		return protocol.ReasonBusy
	case errors.Is(err, errFlood), errors.Is(err, acceptor.ErrFlood):
		return protocol.ReasonFlood
	}
	return protocol.ReasonProtocol
}

// statusOf is what a WebSocket client is told: the code, and what a kick said
// or else the word.
func statusOf(reason, told string) acceptor.CloseStatus {
	code := protocol.CloseCodeOf(reason)
	if code == protocol.CloseBroken {
		return acceptor.CloseStatus{} // RFC 6455 keeps it for those who were told nothing
	}
	if told == "" {
		told = reason
	}
	return acceptor.CloseStatus{Code: acceptor.CloseCode(code), Reason: told}
}

// saysGoodbye reports whether a client that is closed for reason is still given
// what was queued for it: it did nothing wrong, and may read where to go. The
// game's own words are among these.
func saysGoodbye(reason string) bool {
	switch reason {
	case protocol.ReasonBroken, protocol.ReasonSlow, protocol.ReasonTimeout, protocol.ReasonLate,
		protocol.ReasonProtocol, protocol.ReasonFlood, protocol.ReasonBusy, protocol.ReasonHandshake:
		return false
	}
	return true
}

// logEnd tells of the end of a connection. What happens to each of a hundred
// thousand is no more than a debug message; metrics count all of them.
func (a *Agent) logEnd(reason string) {
	fields := logrus.Fields{"reason": reason, "code": int(protocol.CloseCodeOf(reason)), "remote": a.conn.RemoteAddr().String()}
	if p := a.player.Load(); p != nil {
		fields["session"] = p.session.ID()
		if uid := p.session.UID(); uid != "" {
			fields["uid"] = uid
		}
	}
	a.host.Log.WithFields(fields).Debug("connection closed")
}
