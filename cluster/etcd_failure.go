package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// connectFailure keeps why the last attempt to connect failed: gRPC tells its
// callers only that their time was over.
type connectFailure struct {
	dialed  outcomeOf // TCP
	secured outcomeOf // TLS, until etcd has answered over it
}

// outcomeOf is how the last attempt at something ended, if one did.
type outcomeOf struct{ last atomic.Pointer[error] }

func (o *outcomeOf) note(err error) { o.last.Store(&err) }

// failure is nil, too, while no attempt has ended.
func (o *outcomeOf) failure() error {
	if last := o.last.Load(); last != nil {
		return *last
	}
	return nil
}

// explain adds to the error of a call that ran out of time what is known about
// the connection, which is encrypted or not.
func (f *connectFailure) explain(err error, secure security) error {
	if !errors.Is(err, context.DeadlineExceeded) || f.dialed.last.Load() == nil {
		return err
	}
	if last := cmp.Or(f.dialed.failure(), f.secured.failure()); last != nil {
		return fmt.Errorf("%w; the last attempt to connect: %w", err, schemeExplained(last))
	}
	if secure == plain {
		return fmt.Errorf("%w; it takes connections but does not answer: is it stopped, or does it want TLS (https:// endpoints)?", err)
	}
	return fmt.Errorf("%w; it takes connections but does not answer", err)
}

// security says how a connection is protected.
type security int

const (
	plain security = iota
	encrypted
)

// watchedCredentials are TLS credentials that note why connections fail. They
// also honour tls.Config.ServerName, which gRPC overwrites with the name of the
// endpoint.
type watchedCredentials struct {
	credentials.TransportCredentials
	serverName string // as configured
	failure    *connectFailure
}

func newWatchedCredentials(c *tls.Config, failure *connectFailure) watchedCredentials {
	w := watchedCredentials{TransportCredentials: credentials.NewTLS(c), failure: failure}
	if c != nil {
		w.serverName = c.ServerName
	}
	return w
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watchedCredentials) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, cmp.Or(w.serverName, authority), raw)
	if err != nil {
		w.failure.secured.note(err)
		return nil, nil, err
	}
	return &watchedConn{Conn: conn, failure: w.failure}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (w watchedCredentials) Clone() credentials.TransportCredentials {
	w.TransportCredentials = w.TransportCredentials.Clone()
	return w
}

// watchedConn notes the alert that etcd sends when it does not like our
// certificate: with TLS 1.3 that comes after the handshake. One goroutine reads.
type watchedConn struct {
	net.Conn
	failure  *connectFailure
	answered bool
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.answered {
		c.answered = true
		c.failure.secured.note(nil)
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		c.failure.secured.note(err)
	}
	return n, err
}
