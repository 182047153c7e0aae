package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// validate asks every validator, within the handshake's deadline; the first
// fault refuses the client.
func (h *Host) validate(r *protocol.HandshakeRequest) error {
	if len(h.Validators) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.group.Context(), h.HandshakeTimeout)
	defer cancel()
	for name, v := range h.Validators {
		if err := h.ask(ctx, v, r); err != nil {
			return fmt.Errorf("validator %s: %w", name, err)
		}
	}
	return nil
}

func (h *Host) ask(ctx context.Context, v Validator, r *protocol.HandshakeRequest) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.Metrics.Panic("validator")
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	return v(ctx, r)
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
