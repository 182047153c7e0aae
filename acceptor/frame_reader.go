package acceptor

import (
	"time"

	"github.com/cereus-game/cereus/protocol"
)

const (
	mostFragments = 1024        // of one message
	floodWindow   = time.Second // in which
	mostPongs     = 8           // so many pings are answered, the rest is ignored,
	mostControls  = 256         // and so many control frames are taken
)

// frameReader is the state of Next on a WebSocket. The buffered bytes are the
// fragments of an unfinished message, joined and unmasked; a gap of frame
// headers that were done with; and frames that were not looked at.
type frameReader struct {
	joined    int  // bytes of the message so far
	at        int  // where the next frame starts
	open      bool // a fragmented message is unfinished
	fragments int

	window   time.Time // start of the window in which control frames are counted
	controls int
}

// nextMessage is Next on a WebSocket (wire.md 1.4): one message, one packet.
func (c *Conn) nextMessage() (protocol.PacketType, []byte, error) {
	for {
		message, ok, err := c.nextFrame()
		if err != nil {
			return 0, nil, err
		}
		if !ok {
			continue
		}
		t, need, err := c.inspect(message)
		if err == nil {
			err = fits(message, need)
		}
		if err != nil {
			c.in.drop()
			return 0, nil, err
		}
		return t, message[protocol.HeaderSize:need:need], c.finished()
	}
}

// fits checks that message is exactly one packet of need bytes.
func fits(message []byte, need int) error {
	switch {
	case len(message) < protocol.HeaderSize:
		return ErrHeader
	case len(message) < need:
		return ErrShort
	case len(message) > need:
		return ErrTrailing
	}
	return nil
}

// nextFrame takes one frame in, and returns a message if that completes one.
func (c *Conn) nextFrame() (message []byte, ok bool, err error) {
	f := c.frames
	limit := int(c.limit.Load()) + protocol.HeaderSize - f.joined
	for {
		b := c.in.bytes()
		h, need, err := parseFrameHeader(b[f.at:], limit)
		if err == nil {
			err = f.inOrder(h, len(b) > f.at)
		}
		if err != nil {
			c.in.drop()
			return nil, false, err
		}
		if len(b)-f.at >= need {
			return c.takeFrame(h, b)
		}
		if err := c.waitFrame(need); err != nil {
			return nil, false, err
		}
	}
}

// inOrder checks that a frame may come now.
func (f *frameReader) inOrder(h frameHeader, known bool) error {
	if known && !h.control() && f.open != (h.opcode == opContinue) {
		return ErrFrame
	}
	return nil
}

// waitFrame waits until need bytes of the next frame are there.
func (c *Conn) waitFrame(need int) error {
	f := c.frames
	have := len(c.in.bytes())
	if f.at > f.joined {
		b := c.in.bytes()
		n := copy(b[f.joined:], b[f.at:])
		c.in.w -= f.at - f.joined
		f.at = f.joined
		have = f.joined + n
	}
	partial := have > 0 || f.open
	err := c.wait(f.joined+need, partial)
	if partial && err != nil {
		return streamEnd(err, max(have-f.joined, protocol.HeaderSize))
	}
	return err
}

// takeFrame handles a frame that is complete at b[f.at:].
func (c *Conn) takeFrame(h frameHeader, b []byte) ([]byte, bool, error) {
	f := c.frames
	payload := b[f.at+h.size:][:h.length]
	unmask(payload, h.key)
	f.at += h.size + h.length
	switch {
	case h.control():
		if err := c.takeControl(h.opcode, payload); err != nil {
			c.in.drop()
			return nil, false, err
		}
		return nil, false, c.settle()
	case h.final && !f.open:
		c.in.advance(f.at)
		f.at = 0
		return payload, true, nil
	}
	return c.takeFragment(h, b, payload)
}

func (c *Conn) takeFragment(h frameHeader, b, payload []byte) ([]byte, bool, error) {
	f := c.frames
	f.joined += copy(b[f.joined:], payload)
	f.open = !h.final
	if f.fragments++; f.fragments > mostFragments {
		c.in.drop()
		return nil, false, ErrFlood
	}
	if f.open {
		return nil, false, nil
	}
	message := b[:f.joined]
	c.in.advance(f.at)
	f.joined, f.at, f.fragments = 0, 0, 0
	return message, true, nil
}

// settle ends a control frame. Between messages nothing of it stays, not even
// the deadline that it had if it came in pieces.
func (c *Conn) settle() error {
	f := c.frames
	if f.open {
		return nil
	}
	c.in.advance(f.at)
	f.at = 0
	return c.finished()
}
