package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
)

// TLSFiles are the files, in PEM, of an encrypted connection to etcd, and the
// name that its certificate must have. The zero value asks for none.
type TLSFiles struct {
	// CA holds the authorities that etcd's certificate is checked against; empty
	// means those of the system.
	CA string
	// Cert and Key are this side's own certificate, for an etcd that asks for one;
	// both or neither.
	Cert, Key string
	// ServerName is the name that etcd's certificate must have; empty means the
	// host of the endpoint.
	ServerName string
}

// LoadTLS reads the files; nil without an error for the zero value. The
// certificate is read again for each connection, so that a renewed one counts
// without a restart; while it cannot be read the last one is used. The
// authorities are read only here. Errors name the file and what it is for.
func LoadTLS(files TLSFiles) (*tls.Config, error) {
	if files == (TLSFiles{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: files.ServerName}
	var errCA, errCert error
	c.RootCAs, errCA = loadAuthorities(files.CA)
	c.GetClientCertificate, errCert = loadCertificate(files.Cert, files.Key)
	if err := errors.Join(errCA, errCert); err != nil {
		return nil, err
	}
	return c, nil
}

// loadAuthorities returns nil, which means those of the system, for no file.
func loadAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// certificateSource is what tls.Config.GetClientCertificate is.
type certificateSource = func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

func loadCertificate(cert, key string) (certificateSource, error) {
	switch {
	case cert == "" && key == "":
		return nil, nil
	case cert == "" || key == "":
		return nil, errors.New("tls cert and key: set both or neither")
	}
	c := &clientCertificate{cert: cert, key: key}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c.current, nil
}

// clientCertificate is a certificate that may be renewed on disk.
type clientCertificate struct {
	cert, key string // files

	mu   sync.Mutex // guards last
	last *tls.Certificate
}

func (c *clientCertificate) read() error {
	for name, file := range map[string]string{"cert": c.cert, "key": c.key} {
		if _, err := os.Stat(file); err != nil { // which of the two, X509KeyPair would not say
			return fmt.Errorf("tls %s: %w", name, err)
		}
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("tls cert %s with tls key %s: %w", c.cert, c.key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = &pair
	return nil
}

// current is the certificate on disk. Between the writing of its two files they
// do not fit each other: the last that did is used then.
func (c *clientCertificate) current(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	_ = c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, nil
}
