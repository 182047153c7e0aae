package acceptor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ClientCertificates says whether clients need a certificate.
type ClientCertificates int

// What is asked of clients. A certificate that is shown must be valid either way.
const (
	ClientCertificatesOptional ClientCertificates = iota
	ClientCertificatesRequired
)

// WithClientCertificates asks clients for a certificate that one of the
// authorities in a PEM file has signed, which is read by Listen. Who has shown
// one is told by Conn.Certificate. It needs WithTLS or WithTLSFiles.
func WithClientCertificates(authorities string, need ClientCertificates) Option {
	return optionFunc(func(o *options) error {
		if authorities == "" {
			return errors.New("acceptor: WithClientCertificates needs the name of a file with the certificates of the authorities")
		}
		o.clients = &clientRules{file: authorities, need: need}
		return nil
	})
}

type clientRules struct {
	file string
	need ClientCertificates
}

// apply changes a config that is the acceptor's own.
func (r *clientRules) apply(config *tls.Config) error {
	pem, err := os.ReadFile(r.file)
	if err != nil {
		return fmt.Errorf("acceptor: authorities of client certificates: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("acceptor: authorities of client certificates: %s has no PEM certificate", r.file)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if r.need == ClientCertificatesRequired {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return nil
}

// Certificate is the client's own certificate, if it has shown one that was
// verified, else nil. Do not change it.
func (c *Conn) Certificate() *x509.Certificate {
	l, ok := c.link.(*tlsLink)
	if !ok {
		return nil
	}
	state := l.connection().ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
