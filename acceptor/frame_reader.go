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
// It waits itself, not below the functions that take frames apart: an idle
// connection keeps the stack that its reader waits with.
func (c *Conn) nextMessage() (protocol.PacketType, []byte, error) {
	for {
		message, need, err := c.nextFrame()
		switch {
		case err != nil:
			c.in.drop()
			return 0, nil, err
		case message != nil:
			return c.unwrap(message)
		case need > 0:
			err = c.waitFrame(need)
		default:
			err = c.settle()
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// pendingMessage is Pending on a WebSocket, where a message is the usual frame.
func (c *Conn) pendingMessage(b []byte) bool {
	f := c.frames
	if f.open || len(b) == f.at {
		return false
	}
	h, need, err := parseFrameHeader(b[f.at:], int(c.limit.Load())+protocol.HeaderSize)
	return err == nil && len(b)-f.at >= need && h.final && !h.control() && h.length >= protocol.HeaderSize
}

// unwrap takes the packet out of a message.
func (c *Conn) unwrap(message []byte) (protocol.PacketType, []byte, error) {
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

// nextFrame takes one frame in, if it is there. It returns a message if that
// completes one, or how many bytes the frame needs.
func (c *Conn) nextFrame() (message []byte, need int, err error) {
	f := c.frames
	b := c.in.bytes()
	h, need, err := parseFrameHeader(b[f.at:], int(c.limit.Load())+protocol.HeaderSize-f.joined)
	if err == nil {
		err = f.inOrder(h, len(b) > f.at)
	}
	if err != nil || len(b)-f.at < need {
		return nil, need, err
	}
	message, err = c.takeFrame(h, b)
	return message, 0, err
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

// takeFrame handles a frame that is complete at b[f.at:]. A message that it
// completes is never nil.
func (c *Conn) takeFrame(h frameHeader, b []byte) ([]byte, error) {
	f := c.frames
	payload := b[f.at+h.size:][:h.length]
	unmask(payload, h.key)
	f.at += h.size + h.length
	switch {
	case h.control():
		return nil, c.takeControl(h.opcode, payload)
	case h.final && !f.open:
		c.in.advance(f.at)
		f.at = 0
		return payload, nil
	}
	return c.takeFragment(h, b, payload)
}

func (c *Conn) takeFragment(h frameHeader, b, payload []byte) ([]byte, error) {
	f := c.frames
	f.joined += copy(b[f.joined:], payload)
	f.open = !h.final
	if f.fragments++; f.fragments > mostFragments {
		return nil, ErrFlood
	}
	if f.open {
		return nil, nil
	}
	message := b[:f.joined]
	c.in.advance(f.at)
	f.joined, f.at, f.fragments = 0, 0, 0
	return message, nil
}

// settle ends a frame that completed no message: a control frame or a fragment.
// Between messages nothing of a control frame stays, not even the deadline that
// it had if it came in pieces.
func (c *Conn) settle() error {
	f := c.frames
	if f.open {
		return nil
	}
	c.in.advance(f.at)
	f.at = 0
	return c.finished()
}
