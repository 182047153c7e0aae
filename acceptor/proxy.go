package acceptor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // version 2
	proxyPrefix    = "PROXY "                 // version 1
	proxyLine      = 107                      // longest line of version 1
	proxyMost      = 4 << 10                  // longest header of version 2 taken here
)

// proxyRules say who may send PROXY headers.
type proxyRules struct{ trusted []netip.Prefix }

func (r *proxyRules) trusts(a net.Addr) bool {
	if len(r.trusted) == 0 {
		return true
	}
	ip, ok := ipOf(a)
	return ok && within(r.trusted, ip)
}

// readProxyHeader reads the PROXY protocol header in front of the stream, and
// not a byte more.
func (o *opening) readProxyHeader(rules *proxyRules) error {
	if !rules.trusts(o.nc.RemoteAddr()) {
		return ErrUntrusted
	}
	if err := o.nc.SetDeadline(time.Now().Add(o.server.shared.limits.ProxyHeader)); err != nil {
		return err
	}
	header, err := readProxyBytes(o.nc)
	if err != nil {
		return err
	}
	o.remote, err = parseProxyHeader(header)
	return err
}

// readProxyBytes reads one header of either version.
func readProxyBytes(r io.Reader) ([]byte, error) {
	b := make([]byte, len(proxySignature), 128)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	switch {
	case string(b) == proxySignature:
		return readProxyV2(r, b)
	case bytes.HasPrefix(b, []byte(proxyPrefix)):
		return readProxyV1(r, b)
	}
	return nil, ErrProxyHeader
}

func readProxyV2(r io.Reader, b []byte) ([]byte, error) {
	start := len(b)
	b = b[:start+4]
	if _, err := io.ReadFull(r, b[start:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	n := int(binary.BigEndian.Uint16(b[start+2:]))
	if n > proxyMost {
		return nil, ErrProxyHeader
	}
	start = len(b)
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(r, b[start:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	return b, nil
}

// readProxyV1 reads byte by byte, because what follows the line is not ours.
func readProxyV1(r io.Reader, b []byte) ([]byte, error) {
	for !bytes.HasSuffix(b, []byte("\r\n")) {
		if len(b) == proxyLine {
			return nil, ErrProxyHeader
		}
		b = append(b, 0)
		if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
		}
	}
	return b, nil
}

// parseProxyHeader returns the client's address, nil when the header names
// none: the proxy speaks for itself, or does not know.
func parseProxyHeader(b []byte) (net.Addr, error) {
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	if h.Command.IsLocal() {
		return nil, nil
	}
	if tcp, ok := h.SourceAddr.(*net.TCPAddr); ok && tcp != nil {
		return tcp, nil
	}
	return nil, nil
}
