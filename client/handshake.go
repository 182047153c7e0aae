package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/protocol"
)

// maxEarly bounds the bytes of pushes that are kept while the handshake lasts.
const maxEarly = 1 << 20

// HandshakeError says that the server refused the handshake (wire.md 2.3). It
// never says why on the wire; its own log does.
type HandshakeError struct {
	Code int // 400 from cereus and Pitaya
}

// Error describes the refusal.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("the server refused the handshake with code %d: look at the server's log, "+
		"and at what its handshake validators expect in sys and user", e.Code)
}

// opening is what a handshake left behind.
type opening struct {
	response *protocol.HandshakeResponse
	early    [][]byte // data packets that came before the response
}

// shakeHands sends the handshake, waits for the answer and acknowledges it.
func shakeHands(ctx context.Context, t transport, s *settings) (*opening, error) {
	stop := context.AfterFunc(ctx, t.abort)
	defer stop()
	body, err := protocol.AppendHandshakeRequest(nil, &s.handshake)
	if err != nil {
		return nil, err
	}
	packet, err := protocol.AppendPacket(nil, protocol.PacketHandshake, body)
	if err != nil {
		return nil, err
	}
	if err := t.write(packet); err != nil {
		return nil, err
	}
	first, err := awaitAnswer(t)
	if err != nil {
		return nil, unwrapProtocol(err)
	}
	ack, _ := protocol.AppendPacket(nil, protocol.PacketHandshakeAck, nil)
	if err := t.write(ack); err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err() // the connection is being cut
	}
	return first, nil
}

func awaitAnswer(t transport) (*opening, error) {
	first, size := new(opening), 0
	for {
		kind, body, err := t.next()
		if err != nil {
			if end := (&CloseError{Reason: ReasonServer, cause: err}); end.told(err) {
				err = end // it says whether to come back
			}
			return nil, fmt.Errorf("no handshake answer: %w", err)
		}
		switch kind {
		case protocol.PacketHandshake:
			return first, first.answered(body)
		case protocol.PacketKick:
			return nil, kick{protocol.ParseKick(body)}.asError()
		case protocol.PacketData:
			if size += len(body); size > maxEarly {
				return nil, errors.New("no handshake answer, but more than a megabyte of other data")
			}
			first.early = append(first.early, bytes.Clone(body))
		}
	}
}

func (o *opening) answered(body []byte) error {
	response, err := protocol.DecodeHandshakeResponse(body)
	if err != nil {
		return fmt.Errorf("the handshake answer cannot be read: %w", err)
	}
	if response.Code != protocol.HandshakeOK {
		return &HandshakeError{Code: response.Code}
	}
	o.response = response
	return nil
}

func unwrapProtocol(err error) error {
	if isProtocol(err) {
		return fmt.Errorf("%w: is a game server with this protocol listening there, and is the scheme right?", err)
	}
	return err
}
