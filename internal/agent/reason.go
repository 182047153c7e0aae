package agent

import (
	"errors"
	"io"

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

// logEnd tells of the end of a connection. What happens to each of a hundred
// thousand is no more than a debug message; metrics count all of them.
func (a *Agent) logEnd(reason string) {
	log := a.host.Log.WithField("reason", reason).WithField("code", int(protocol.CloseCodeOf(reason))).
		WithField("remote", a.conn.RemoteAddr().String())
	if p := a.player.Load(); p != nil {
		log = log.WithField("session", p.session.ID())
		if uid := p.session.UID(); uid != "" {
			log = log.WithField("uid", uid)
		}
	}
	log.Debug("connection closed")
}
