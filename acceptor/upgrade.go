package acceptor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/gobwas/ws"
)

const tooLong = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

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
	u := ws.Upgrader{ReadBufferSize: len(head), OnHeader: o.server.options.origins.check}
	if _, err := u.Upgrade(readWriter{bytes.NewReader(head), stream}); err != nil {
		return upgradeError(err)
	}
	o.early = bytes.Clone(rest)
	return nil
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
