package acceptor

// Close ends the connection, from any goroutine and any number of times; only
// the first call counts. It never waits. Next and WriteAll that are under way
// return ErrClosed. A WebSocket client is sent status in a close frame, or its
// own code if it closed first, if the socket takes that at once and no frame is
// half written.
func (c *Conn) Close(status CloseStatus) error {
	if c.closed.Swap(true) {
		return nil
	}
	var last []byte
	if c.frames != nil && c.write.mu.TryLock() {
		if code := c.peerCode.Load(); code != 0 {
			status = CloseStatus{Code: CloseCode(code)}
		}
		if !c.write.half && !c.write.torn && !c.write.fin {
			last = appendCloseFrame(nil, status)
		}
		c.write.fin = true
		c.write.mu.Unlock()
	}
	c.link.shut(last)
	return nil
}

// CloseWrite tells the client that nothing more comes, while Next goes on: what
// was written arrives, also if the client still sends. A WebSocket client gets
// a close frame with CloseNormal. It waits for a write that is under way;
// writes fail with ErrClosed afterwards. Transports that cannot do this (memory) close.
func (c *Conn) CloseWrite() error {
	half, ok := c.link.(halfCloser)
	if !ok {
		return c.Close(CloseStatus{})
	}
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	if c.write.fin || c.closed.Load() {
		return nil
	}
	if c.frames != nil && !c.write.half && !c.write.torn {
		c.writeControl(appendCloseFrame(nil, CloseStatus{}))
	}
	c.write.fin = true
	return half.closeWrite()
}
