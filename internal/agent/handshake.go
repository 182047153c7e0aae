package agent

import (
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// validate asks every validator; the first fault refuses the client.
func (h *Host) validate(r *protocol.HandshakeRequest) error {
	for name, v := range h.Validators {
		if err := h.ask(name, v, r); err != nil {
			return fmt.Errorf("validator %s: %w", name, err)
		}
	}
	return nil
}

func (h *Host) ask(name string, v Validator, r *protocol.HandshakeRequest) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.Metrics.Panic("validator")
			err = fmt.Errorf("validator %s panicked: %v", name, p)
		}
	}()
	return v(h.group.Context(), r)
}

// kindOf names a fault of the client's bytes for metrics.
func kindOf(err error) string {
	for _, known := range []error{
		errState, protocol.ErrInvalidMessage, protocol.ErrMessageType, protocol.ErrUnknownRouteCode,
		protocol.ErrInflateLimit, acceptor.ErrWrongType, acceptor.ErrTooLarge, acceptor.ErrHeader,
		acceptor.ErrShort, acceptor.ErrTrailing, acceptor.ErrFrame, acceptor.ErrFlood, acceptor.ErrSlow, acceptor.ErrBudget,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
