package acceptor

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// controlWait is how long a control frame may take on TLS.
const controlWait = time.Second

// takeControl answers pings. ErrPeerClosed ends the stream.
func (c *Conn) takeControl(opcode byte, payload []byte) error {
	f := c.frames
	now := time.Now()
	if now.Sub(f.window) >= floodWindow {
		f.window, f.controls = now, 0
	}
	f.controls++
	switch {
	case opcode == opClose:
		return c.takeClose(payload)
	case f.controls > mostControls:
		return ErrFlood
	case opcode == opPing && f.controls <= mostPongs:
		frame := appendFrameHeader(make([]byte, 0, 2+len(payload)), opPong, len(payload))
		c.sendPong(append(frame, payload...))
	}
	return nil
}

// takeClose has Close answer a close frame with the same code.
func (c *Conn) takeClose(payload []byte) error {
	code := CloseNormal
	switch {
	case len(payload) == 1:
		return ErrFrame
	case len(payload) >= 2:
		code = CloseCode(binary.BigEndian.Uint16(payload))
		if !code.sendable() || !utf8.Valid(payload[2:]) {
			return ErrFrame
		}
	}
	c.peerCode.Store(uint32(code))
	return ErrPeerClosed
}

// sendable reports whether a close frame may carry the code (RFC 6455 7.4).
func (code CloseCode) sendable() bool {
	switch {
	case code >= 3000 && code < 5000:
		return true
	case code < 1000 || code > 1014:
		return false
	}
	return code != 1004 && code != 1005 && code != 1006
}

// sendPong gives a frame to the hook, or writes it if that is possible now.
func (c *Conn) sendPong(frame []byte) {
	if hook := c.control.Load(); hook != nil && *hook != nil {
		(*hook)(frame)
		return
	}
	if !c.write.mu.TryLock() {
		return
	}
	defer c.write.mu.Unlock()
	if c.write.half || c.writable() != nil {
		return
	}
	c.writeControl(frame)
}

// writeControl writes a control frame between frames; write.mu is held. TLS
// cannot tell whether it would wait, so it may wait a little.
func (c *Conn) writeControl(frame []byte) {
	if c.transport != TransportWebSocket {
		c.write.torn = c.link.writeAll([][]byte{frame}, time.Now().Add(controlWait)) != nil
		return
	}
	n, err := c.link.tryWrite(frame)
	c.write.torn = err != nil || n > 0 && n < len(frame)
}
