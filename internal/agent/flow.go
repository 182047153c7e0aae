package agent

import (
	"errors"

	"golang.org/x/time/rate"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// errFlood: the client went on sending beyond its rate.
var errFlood = errors.New("agent: too many messages")

// errTooFast is what a client is told whose request is beyond its rate.
var errTooFast = errs.New(errs.CodeRateLimited, "too many messages: slow down")

// flow bounds the messages of one connection.
type flow struct {
	limiter  *rate.Limiter
	patience int // messages in a row beyond the rate until the connection is closed
	beyond   int
}

func (f *flow) allow() bool {
	if f.limiter.Allow() {
		f.beyond = 0
		return true
	}
	f.beyond++
	return false
}

// refuse answers a message beyond the rate with an error, and closes on a flood.
func (a *Agent) refuse(m *protocol.Message) error {
	a.host.Metrics.RateLimited()
	if a.flow.beyond > a.flow.patience {
		return errFlood
	}
	if m.Type == protocol.MessageRequest && m.ID != 0 {
		a.Respond(m.ID, nil, errTooFast, true)
	}
	return nil
}
