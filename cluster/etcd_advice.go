package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// explained adds to an answer that etcd will give until somebody does something
// what that is.
func explained(err error) error {
	switch {
	case errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd has no space left for its data; compact and defragment it, or raise --quota-backend-bytes, "+
			"then disarm its alarm (etcdctl alarm disarm): %w", err)
	case hopeless(err):
		return fmt.Errorf("etcd refuses this server, check user and password: %w", err)
	}
	return err
}

// schemeExplained adds to a TLS handshake that was not answered with TLS why that
// may be: etcd without TLS hangs up.
func schemeExplained(err error) error {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	if ok || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("no TLS came back in the handshake: is it an etcd without TLS, for http:// endpoints and no tls settings? %w", err)
	}
	return err
}
