package faultproxy

import (
	"net"
	"sync"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// link is one client connection and its connection to the target.
type link struct {
	gate  gate
	ended chan struct{} // closed when both connections were closed
	once  sync.Once

	mu     sync.Mutex // guards the rest
	client *net.TCPConn
	server *net.TCPConn // nil until the target answered
	halved Direction    // directions that halfClose ended
}

func newLink(client *net.TCPConn) *link {
	return &link{client: client, ended: make(chan struct{})}
}

// join adds the connection to the target; when the link ended meanwhile the
// connection ends with it.
func (k *link) join(server *net.TCPConn) {
	k.mu.Lock()
	k.server = server
	k.mu.Unlock()
	select {
	case <-k.ended:
		_ = server.Close()
	default:
	}
}

// run forwards until both directions ended or the link was cut.
func (k *link) run(pipes *lifecycle.Group, p *Proxy) {
	up := newPipe(k, pipeEnds{way: Up, from: k.client, to: k.server}, &p.up)
	down := newPipe(k, pipeEnds{way: Down, from: k.server, to: k.client}, &p.down)
	pipes.Go("read up", up.read)
	pipes.Go("read down", down.read)
	pipes.Go("write up", up.write)
	pipes.Go("write down", down.write)
	for _, p := range []*pipe{up, down} {
		select {
		case <-p.done:
		case <-k.ended:
		}
	}
	k.close() // ends readers that a cut left parked
}

func (k *link) conns() []*net.TCPConn {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.server == nil {
		return []*net.TCPConn{k.client}
	}
	return []*net.TCPConn{k.client, k.server}
}

// cut ends the link. With FIN both sides read an end of stream; what they send
// after that is thrown away, and the link is gone when both have closed.
func (k *link) cut(how Ending) {
	if how == FIN {
		k.halfClose(Both)
		return
	}
	for _, c := range k.conns() {
		_ = c.SetLinger(0) // makes Close send a reset
	}
	k.close()
}

func (k *link) halfClose(d Direction) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.halved |= d
	if d&Up != 0 && k.server != nil {
		_ = k.server.CloseWrite()
	}
	if d&Down != 0 {
		_ = k.client.CloseWrite()
	}
}

func (k *link) isHalved(d Direction) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.halved&d != 0
}

func (k *link) close() {
	k.once.Do(func() { close(k.ended) })
	for _, c := range k.conns() {
		_ = c.Close()
	}
}
