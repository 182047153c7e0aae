package acceptor

import (
	"errors"
	"net"
	"net/netip"
	"strings"
)

// ForwardedHeader is a header in which HTTP proxies tell for whom they speak.
type ForwardedHeader string

// The headers. Which one a proxy writes has to be known: it passes on whatever
// a client wrote into the other.
const (
	HeaderXForwardedFor ForwardedHeader = "X-Forwarded-For"
	HeaderForwarded     ForwardedHeader = "Forwarded" // RFC 7239
)

// WithForwarded takes the client's address of a WebSocket from a header that
// the proxies in the trusted networks write. Of the addresses in it the last
// one that is not itself a trusted proxy counts: those before it are what the
// client says. Peers outside the networks are let in with their own address,
// whatever they write.
func WithForwarded(header ForwardedHeader, trusted ...netip.Prefix) Option {
	return optionFunc(func(o *options) error {
		if header != HeaderXForwardedFor && header != HeaderForwarded {
			return errors.New("acceptor: WithForwarded needs one of the ForwardedHeader constants")
		}
		if len(trusted) == 0 {
			return errors.New("acceptor: WithForwarded needs the networks of the proxies: everybody can write the header")
		}
		for _, p := range trusted {
			if !p.IsValid() {
				return errors.New("acceptor: WithForwarded has an invalid network")
			}
		}
		o.forwarded = &forwardedRules{header: header, trusted: trusted}
		return nil
	})
}

// forwardedRules say whose header is believed; nil believes none.
type forwardedRules struct {
	header  ForwardedHeader
	trusted []netip.Prefix
}

func (r *forwardedRules) trusts(a net.Addr) bool {
	ip, ok := ipOf(a)
	return r != nil && ok && within(r.trusted, ip)
}

func within(networks []netip.Prefix, ip netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// collect adds what one header line says to what those before it said.
func (r *forwardedRules) collect(said *string, key, value []byte) {
	if !strings.EqualFold(string(key), string(r.header)) {
		return
	}
	if *said != "" {
		*said += ","
	}
	*said += string(value)
}

// client is who speaks through peer, from the values of the header.
func (r *forwardedRules) client(peer net.Addr, said string) net.Addr {
	hops := r.hops(said)
	for i := len(hops) - 1; i >= 0 && r.trusts(peer); i-- {
		before := r.address(hops[i])
		if before == nil {
			break // hidden or garbled: nothing in front of it can be believed
		}
		peer = before
	}
	return peer
}

// hops are what each proxy added. X-Forwarded-For knows no quotes.
func (r *forwardedRules) hops(said string) []string {
	if r.header == HeaderXForwardedFor {
		return strings.Split(said, ",")
	}
	return splitQuoted(said, ',')
}

// address reads one hop, nil when it names no address.
func (r *forwardedRules) address(hop string) net.Addr {
	if r.header == HeaderXForwardedFor {
		return parseHop(strings.TrimSpace(hop))
	}
	for _, pair := range splitQuoted(hop, ';') {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return parseHop(unquote(strings.TrimSpace(value)))
		}
	}
	return nil
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func parseHop(s string) net.Addr {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
		if err != nil {
			return nil
		}
		at = netip.AddrPortFrom(ip, 0)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()))
}

// splitQuoted splits at sep outside of quoted strings. It returns nothing when a
// string does not end: a client that begins one could pass off what the proxy
// appends as a part of its own words.
func splitQuoted(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	if quoted {
		return nil
	}
	return append(parts, s[start:])
}

// unquote takes the quotes off; an address needs no escapes.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
