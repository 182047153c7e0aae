//go:build !unix

package acceptor

import (
	"crypto/tls"
	"net"
)

// Where there is no read that does not wait, a reader keeps its buffer.

func newLink(tcp *net.TCPConn, _ *shared) (link, error) { return &pipeLink{conn: tcp}, nil }

type tlsLink struct{ pipeLink }

func newTLSLink(tcp *net.TCPConn, config *tls.Config, _ *shared) (*tls.Conn, *tlsLink, error) {
	conn := tls.Server(tcp, config)
	return conn, &tlsLink{pipeLink{conn: conn}}, nil
}

func (l *tlsLink) connection() *tls.Conn { return l.conn.(*tls.Conn) }

func (l *tlsLink) startPolling() {}

// shut does not say goodbye in TLS: that could wait.
func (l *tlsLink) shut([]byte) { _ = l.conn.(*tls.Conn).NetConn().Close() }

func (s *shared) turnAway(nc net.Conn) { _ = nc.Close() }
