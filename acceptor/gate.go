package acceptor

import (
	"net"
	"net/netip"
	"sync"
)

// Gate bounds the connections of all acceptors that have it (WithGate),
// together. Use NewGate.
type Gate struct {
	most, perAddress int

	mu   sync.Mutex // guards what follows
	open int
	from map[netip.Prefix]int // connections by client; only who has some is in it
}

// NewGate returns a gate that lets most connections be open at a time, those in
// their handshakes included, and perAddress of them from one client address; 0
// is no bound. What is beyond is closed at once. An IPv6 client counts as its
// /64 network, which one person usually has to himself.
func NewGate(most, perAddress int) *Gate {
	return &Gate{most: most, perAddress: perAddress, from: make(map[netip.Prefix]int)}
}

// enter counts a connection in; a nil gate is always open.
func (g *Gate) enter() bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.most > 0 && g.open >= g.most {
		return false
	}
	g.open++
	return true
}

func (g *Gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
}

// place is what a connection counts in, nil in nothing.
type place struct{ network netip.Prefix }

// seat counts a connection among those of its address.
func (g *Gate) seat(a net.Addr) (*place, bool) {
	if g == nil || g.perAddress == 0 {
		return nil, true
	}
	network, ok := Network(a)
	if !ok {
		return nil, true // a client of this process
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[network] >= g.perAddress {
		return nil, false
	}
	g.from[network]++
	return &place{network}, true
}

func (g *Gate) unseat(p *place) {
	if p == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[p.network]--; g.from[p.network] <= 0 {
		delete(g.from, p.network)
	}
}

// Network is what limits by address take for one client: an IPv4 address, or
// the /64 network of an IPv6 address. It reports false for what is no IP address.
func Network(a net.Addr) (netip.Prefix, bool) {
	ip, ok := ipOf(a)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

func ipOf(a net.Addr) (netip.Addr, bool) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ip, ok := netip.AddrFromSlice(tcp.IP)
		return ip.Unmap(), ok
	}
	if a == nil {
		return netip.Addr{}, false
	}
	at, err := netip.ParseAddrPort(a.String())
	return at.Addr().Unmap().WithZone(""), err == nil
}
