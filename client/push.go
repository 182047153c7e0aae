package client

import (
	"bytes"
	"sync"
)

const (
	// maxBacklog and maxBacklogBytes bound the pushes kept for a first OnPush.
	maxBacklog      = 1024
	maxBacklogBytes = 1 << 20
)

type push struct {
	route string
	data  []byte
}

// pushFeed brings pushes to their handler, in order, also when the handler is
// set after the first of them came.
type pushFeed struct {
	mu       sync.Mutex // guards all below
	handler  func(route string, data []byte)
	draining bool // OnPush is delivering the backlog
	backlog  []push
	bytes    int
	lost     int
}

// OnPush sets who gets the pushes, one at a time and in order; nil drops them.
// Pushes that came before the first OnPush are kept (the last 1024 of them, at
// most 1 MiB) and delivered before OnPush returns; after that handler is called
// by the goroutine that reads the connection. It must not block, nor call Request
// or Close; Go and Notify are fine. data is the handler's to keep.
func (c *Client) OnPush(handler func(route string, data []byte)) {
	if handler == nil {
		handler = func(string, []byte) {}
	}
	f := &c.pushes
	f.mu.Lock()
	f.handler = handler
	if f.draining {
		f.mu.Unlock()
		return
	}
	f.draining = true
	for len(f.backlog) > 0 {
		waiting := f.backlog
		f.backlog, f.bytes = nil, 0
		handler = f.handler
		f.mu.Unlock()
		for _, p := range waiting {
			c.deliver(handler, p)
		}
		f.mu.Lock()
	}
	f.draining = false
	f.mu.Unlock()
}

// pushed is called by the reader only. data is not kept.
func (c *Client) pushed(route string, data []byte) {
	p := push{route: route, data: bytes.Clone(data)}
	if p.data == nil {
		p.data = []byte{}
	}
	handler, lost := c.pushes.offer(p)
	if lost == 1 {
		c.log.Warn("pushes are dropped because no OnPush handler is set")
	}
	if handler != nil {
		c.deliver(handler, p)
	}
}

// offer returns the handler to call, or keeps p and returns how many pushes have
// been dropped for want of one.
func (f *pushFeed) offer(p push) (func(string, []byte), int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handler != nil && !f.draining {
		return f.handler, 0
	}
	f.backlog = append(f.backlog, p)
	f.bytes += len(p.data)
	if f.draining || (len(f.backlog) <= maxBacklog && f.bytes <= maxBacklogBytes) {
		return nil, 0
	}
	f.bytes -= len(f.backlog[0].data)
	f.backlog[0] = push{}
	f.backlog = f.backlog[1:]
	f.lost++
	return nil, f.lost
}

// deliver calls the handler and survives its panic.
func (c *Client) deliver(handler func(string, []byte), p push) {
	defer c.survive(p.route)
	handler(p.route, p.data)
}

// survive is deferred around every callback of the user's.
func (c *Client) survive(route string) {
	if p := recover(); p != nil {
		c.log.WithField("route", route).WithField("panic", p).Error("a callback panicked")
	}
}
