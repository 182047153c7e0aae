package protocol

import (
	"bytes"
	"errors"
	"io"
)

// readStep is how far a body is trusted to come: more room is made only after
// this much arrived.
const readStep = 4 << 10

// ReadPacket reads one packet from a stream, with a body in memory of its own.
// A body announced longer than limit bytes gives ErrPacketTooLarge before
// anything is allocated for it. The end of the stream gives io.EOF between two
// packets, ErrPacketHeader inside a header and io.ErrUnexpectedEOF inside a
// body. After an error the stream is of no more use.
func ReadPacket(r io.Reader, limit int) (Packet, error) {
	var header [HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return Packet{}, ErrPacketHeader
		}
		return Packet{}, err
	}
	t, n, err := ParseHeader(header[:])
	if err != nil {
		return Packet{}, err
	}
	if n > limit {
		return Packet{}, ErrPacketTooLarge
	}
	body, err := readBody(r, n)
	if err != nil {
		return Packet{}, err
	}
	return Packet{Type: t, Body: body}, nil
}

// readBody reads n bytes. Its memory grows with what arrived, not with n.
func readBody(r io.Reader, n int) ([]byte, error) {
	if n <= readStep {
		body := make([]byte, n)
		_, err := io.ReadFull(r, body)
		return body, unexpected(err)
	}
	var grown bytes.Buffer
	grown.Grow(readStep)
	if _, err := io.CopyN(&grown, r, int64(n)); err != nil {
		return nil, unexpected(err)
	}
	return grown.Bytes(), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
