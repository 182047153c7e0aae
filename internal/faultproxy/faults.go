package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Direction is one way through a proxy, or both.
type Direction int

// The directions.
const (
	Up   Direction = 1 << iota // from clients to the target
	Down                       // from the target to clients
	Both = Up | Down
)

// Scope says which connections a fault concerns.
type Scope int

// The scopes.
const (
	Existing Scope = iota // those open now
	All                   // those, and every new one
)

// Ending is how a connection ends.
type Ending int

// The endings.
const (
	RST Ending = iota // at once, with a reset, as after a crash or a firewall's decision
	FIN               // with an orderly end of stream on both sides
)

// Shape is how bytes travel. The zero Shape forwards them as they come.
type Shape struct {
	// Delay is the time each byte is held back. Order is kept, and throughput
	// as far as 512 KiB in flight allow.
	Delay time.Duration
	// Slice is the most bytes written at a time, 0 for no limit. Every slice
	// travels in a packet of its own.
	Slice int
	// Gap is the pause after each slice.
	Gap time.Duration
	// Bandwidth is in bytes per second, 0 for no limit.
	Bandwidth int
}

// Shape changes how bytes travel from now on, on open and on new connections.
func (p *Proxy) Shape(d Direction, s Shape) {
	if d&Up != 0 {
		p.up.shape.Store(&s)
	}
	if d&Down != 0 {
		p.down.shape.Store(&s)
	}
}

// Pause freezes connections: they stay open and nothing moves, as when a cable
// is pulled or a peer is stopped. With All, new connections are accepted and
// frozen, too. What is on its way may still arrive.
func (p *Proxy) Pause(s Scope) {
	p.mu.Lock()
	p.paused = p.paused || s == All
	p.mu.Unlock()
	for _, k := range p.open() {
		k.gate.shut()
	}
}

// Resume ends every pause; nothing was lost.
func (p *Proxy) Resume() {
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	for _, k := range p.open() {
		k.gate.open()
	}
}

// Cut ends all open connections. New ones are not concerned.
func (p *Proxy) Cut(how Ending) {
	for _, k := range p.open() {
		k.cut(how)
	}
}

// HalfClose ends one direction of all open connections: the receiving side
// reads an end of stream and can go on sending.
func (p *Proxy) HalfClose(d Direction) {
	for _, k := range p.open() {
		k.halfClose(d)
	}
}

// Refuse makes new connections fail as if nobody listened. Open ones, all that
// were accepted before it returns, go on.
func (p *Proxy) Refuse() error {
	p.mu.Lock()
	l, accepted := p.listener, p.accepted
	p.listener = nil
	p.mu.Unlock()
	if l == nil {
		return nil
	}
	err := l.Close()
	<-accepted
	return err
}

// Accept undoes Refuse, on the same port.
func (p *Proxy) Accept() error {
	p.mu.Lock()
	listening, closed := p.listener != nil, p.closed
	p.mu.Unlock()
	if listening {
		return nil
	}
	if closed {
		return errors.New("faultproxy: the proxy is closed")
	}
	var config net.ListenConfig
	l, err := config.Listen(p.work.Context(), "tcp", p.addr)
	if err != nil {
		return fmt.Errorf("faultproxy: the port was taken by another process meanwhile; run the test again: %w", err)
	}
	p.serve(l)
	return nil
}
