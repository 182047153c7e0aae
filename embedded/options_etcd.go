package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// DefaultEtcdAuthTokenTTL is etcd's own default.
const DefaultEtcdAuthTokenTTL = 5 * time.Minute

// TLSFiles are paths of PEM files.
type TLSFiles struct {
	CA   string // certificates of the authorities that sign the clients'
	Cert string // etcd's certificate, for 127.0.0.1
	Key  string // the private key of Cert
}

// WithEtcdNodes runs n etcd nodes, 1, 3 or 5, as one Raft group. Start then
// also waits until they elected a leader, about a second. With WithDir a group
// finds its data again only with the same n.
func WithEtcdNodes(n int) Option { return func(s *settings) { s.etcdNodes = n } }

// WithEtcdPort makes etcd listen on port instead of a free one. 0 means free.
// Of several etcd nodes it is the first's; the others always take free ports.
func WithEtcdPort(port int) Option { return func(s *settings) { s.etcdPort = port } }

// WithEtcdQuota bounds etcd's database: a write that finds it above so many
// bytes raises the alarm "no space", as a full production etcd does.
func WithEtcdQuota(bytes int64) Option { return func(s *settings) { s.etcdQuota = bytes } }

// WithEtcdTLS makes etcd speak TLS with its clients and refuse those that show
// no certificate signed by files.CA. EtcdEndpoints begin with https:// then.
// Between themselves the nodes of a group speak without TLS.
func WithEtcdTLS(files TLSFiles) Option { return func(s *settings) { s.etcdTLS = &files } }

// WithEtcdAuthTokenTTL sets after how long without use a token that etcd gave
// to a user for a password expires: whole seconds, 1 s or more. etcd looks
// once a second.
func WithEtcdAuthTokenTTL(ttl time.Duration) Option {
	return func(s *settings) { s.etcdTokenTTL = ttl }
}

func (s *settings) checkEtcd() error {
	faults := []error{checkPort("WithEtcdPort", s.etcdPort)}
	if s.etcdQuota < 0 {
		faults = append(faults, fmt.Errorf("WithEtcdQuota(%d): choose a number of bytes above zero, or leave the option out", s.etcdQuota))
	}
	if !slices.Contains([]int{1, 3, 5}, s.etcdNodes) {
		faults = append(faults, fmt.Errorf("WithEtcdNodes(%d): choose 1, 3 or 5", s.etcdNodes))
	}
	if s.etcdTokenTTL < time.Second || s.etcdTokenTTL%time.Second != 0 {
		faults = append(faults, fmt.Errorf("WithEtcdAuthTokenTTL(%v): choose whole seconds, 1s or more", s.etcdTokenTTL))
	}
	if s.etcdTLS != nil {
		faults = append(faults, s.etcdTLS.check())
	}
	return errors.Join(faults...)
}

// check loads the files, so that a wrong one is an error of Start and not of
// every client's handshake.
func (f *TLSFiles) check() error {
	var faults []error
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		faults = append(faults, fmt.Errorf("WithEtcdTLS: Cert %q and Key %q must be PEM files that belong together: %w", f.Cert, f.Key, err))
	}
	pem, err := os.ReadFile(f.CA)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errors.New("it holds no certificate")
	}
	if err != nil {
		faults = append(faults, fmt.Errorf("WithEtcdTLS: CA %q must be a PEM file with the clients' authorities: %w", f.CA, err))
	}
	return errors.Join(faults...)
}
