package acceptor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gobwas/ws"
)

const (
	tooLong   = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	malformed = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

// upgrade answers the HTTP request that opens a WebSocket: any path, no
// subprotocol, no extension (wire.md 1.4).
func (o *opening) upgrade() error {
	stream := o.stream()
	b := o.server.shared.memory.borrow(o.server.shared.limits.HTTPHeader)
	defer o.server.shared.memory.giveBack(b)
	head, rest, err := readRequestHead(stream, b.bytes[:o.server.shared.limits.HTTPHeader])
	if err != nil {
		return err
	}
	if !unambiguous(head) {
		_, _ = io.WriteString(stream, malformed)
		return fmt.Errorf("%w: malformed header", ErrUpgrade)
	}
	said := ""
	u := ws.Upgrader{ReadBufferSize: len(head), OnHeader: o.header(&said)}
	if _, err := u.Upgrade(readWriter{bytes.NewReader(head), stream}); err != nil {
		return upgradeError(err)
	}
	if r := o.server.options.forwarded; said != "" {
		o.remote = r.client(o.peer(), said)
	}
	o.early = bytes.Clone(rest)
	return nil
}

// header looks at the headers of the request; said is what a trusted proxy says
// of the client.
func (o *opening) header(said *string) func(key, value []byte) error {
	rules := o.server.options
	if rules.forwarded == nil || !rules.forwarded.trusts(o.peer()) {
		return rules.origins.check
	}
	return func(key, value []byte) error {
		rules.forwarded.collect(said, key, value)
		return rules.origins.check(key, value)
	}
}

// peer is who speaks to this server, or to the proxy in front of it.
func (o *opening) peer() net.Addr {
	if o.remote != nil {
		return o.remote
	}
	return o.nc.RemoteAddr()
}

// unambiguous reports whether everybody who reads a request's headers sees the
// same ones: no line ends but CRLF, no folded lines, no space around names (RFC
// 9112 sections 2.2, 5.1 and 5.2). Otherwise a client could write a header that
// its proxy takes for a part of another one.
func unambiguous(head []byte) bool {
	first := true
	for line := range bytes.SplitSeq(bytes.TrimSuffix(head, []byte("\r\n\r\n")), []byte("\r\n")) {
		name, _, found := bytes.Cut(line, []byte(":"))
		named := found && len(name) > 0 && !bytes.ContainsAny(name, " \t")
		if bytes.ContainsAny(line, "\r\n\x00") || !named && !first {
			return false
		}
		first = false
	}
	return true
}

func upgradeError(err error) error {
	var rejected *ws.ConnectionRejectedError
	if errors.As(err, &rejected) && rejected.StatusCode() == http.StatusForbidden {
		return ErrOrigin
	}
	return fmt.Errorf("%w: %w", ErrUpgrade, err)
}

type readWriter struct {
	io.Reader
	io.Writer
}

// readRequestHead reads up to the empty line that ends a request's headers and
// returns them, and what came behind. What cannot be HTTP fails at its first
// byte: clients probe a port with several protocols (wire.md 1.2).
func readRequestHead(stream io.ReadWriter, b []byte) (head, rest []byte, err error) {
	n := 0
	for n < len(b) {
		m, err := stream.Read(b[n:])
		from := max(n-3, 0)
		n += m
		if n > 0 && (b[0] < 'A' || b[0] > 'Z') {
			return nil, nil, ErrUpgrade
		}
		if i := bytes.Index(b[from:n], []byte("\r\n\r\n")); i >= 0 {
			end := from + i + 4
			return b[:end], b[end:n], nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUpgrade, err)
		}
	}
	_, _ = io.WriteString(stream, tooLong)
	return nil, nil, fmt.Errorf("%w: request headers longer than %d bytes", ErrUpgrade, len(b))
}
