package acceptor

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Memory accepts clients of the same process, without a socket: for tests. It
// works inside a testing/synctest bubble. Use NewMemory.
type Memory struct {
	*server
	pipes *pipeListener
}

// NewMemory returns an acceptor whose clients come from Dial. Options for TLS,
// PROXY headers and origins are refused by Listen.
func NewMemory(opts ...Option) *Memory {
	s := newServer(TransportMemory, TransportMemory, opts)
	if o := s.options; o.tls != nil || o.files != nil || o.proxy != nil || o.origins != nil || o.forwarded != nil {
		s.faults = errors.Join(s.faults, errors.New("acceptor: a memory acceptor has no TLS, PROXY headers, origins or forwarded addresses"))
	}
	return &Memory{server: s, pipes: &pipeListener{waiting: make(chan net.Conn), closing: make(chan struct{})}}
}

// Listen lets Dial and Serve go on, see Acceptor.
func (a *Memory) Listen(context.Context) error {
	return a.listen(func() (net.Listener, error) { return a.pipes, nil })
}

// Dial connects a client and waits until Serve took it. Writes to the
// connection wait for the reader on the other side: it has no buffer.
func (a *Memory) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case a.pipes.waiting <- server:
		return client, nil
	case <-a.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pipeListener is a net.Listener of pipes.
type pipeListener struct {
	waiting chan net.Conn
	once    sync.Once
	closing chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.waiting:
		return nc, nil
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closing) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return TransportMemory }
func (memoryAddr) String() string  { return TransportMemory }
