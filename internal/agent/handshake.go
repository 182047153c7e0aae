package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// greeting is a client's handshake on its way to be read.
type greeting struct {
	body    []byte
	request *protocol.HandshakeRequest
	err     error
	panics  string // what panicked, and where
	read    chan struct{}
}

// errUnread: nobody could read it, or a validator ended the goroutine.
var errUnread = errors.New("the handshake was not validated")

// greet reads and validates a handshake, on a goroutine that has the stack for
// it: growing that of each new connection costs more than the reading. A panic is
// passed on to the caller.
func (h *Host) greet(body []byte) (*protocol.HandshakeRequest, error) {
	g := &greeting{body: body, err: errUnread, read: make(chan struct{})}
	if !h.greeters.Go(g) {
		return nil, errUnread // the host is stopping
	}
	<-g.read
	if g.panics != "" {
		panic(g.panics)
	}
	return g.request, g.err
}

func (h *Host) readGreeting(g *greeting) {
	defer close(g.read)
	defer func() {
		if v := recover(); v != nil {
			g.panics = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
		}
	}()
	request, err := protocol.ParseHandshakeRequest(g.body)
	if err == nil {
		err = h.validate(request)
	}
	g.request, g.err = request, err
}

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
