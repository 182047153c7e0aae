package cluster

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EtcdConnection is all that decides how etcd is reached.
type EtcdConnection struct {
	Endpoints []string // host:port or URLs; all http://, all https:// or all without a scheme
	Username  string   // used only with Password, and the reverse
	Password  string   `json:"-"`
	// TLSFiles encrypt the connection. An https:// endpoint is encrypted without
	// them, too, and checked against the authorities of the system.
	TLSFiles TLSFiles
	// TLS is used instead of TLSFiles. Two connections with it are equal only
	// when it is the same pointer.
	TLS *tls.Config `json:"-"`
	// DialTimeout bounds one attempt to connect; DefaultDialTimeout when zero.
	DialTimeout time.Duration
}

// String shows the endpoints and the user, never the password.
func (c EtcdConnection) String() string {
	text := strings.Join(c.Endpoints, ", ")
	if c.Username != "" {
		text += " as " + c.Username
	}
	return text
}

// GoString is String.
func (c EtcdConnection) GoString() string { return c.String() }

// normal is the connection in a form in which equal ones look alike.
func (c EtcdConnection) normal() EtcdConnection {
	endpoints := make([]string, len(c.Endpoints))
	for i, endpoint := range c.Endpoints {
		endpoints[i] = strings.TrimSpace(endpoint)
	}
	slices.Sort(endpoints)
	c.Endpoints = slices.Compact(endpoints)
	c.DialTimeout = cmp.Or(c.DialTimeout, DefaultDialTimeout)
	return c
}

// equal compares normal connections.
func (c EtcdConnection) equal(o EtcdConnection) bool {
	return slices.Equal(c.Endpoints, o.Endpoints) && c.Username == o.Username && c.Password == o.Password &&
		c.TLSFiles == o.TLSFiles && c.TLS == o.TLS && c.DialTimeout == o.DialTimeout
}

func (c EtcdConnection) validate() error {
	var faults []error
	if n := c.normal(); len(n.Endpoints) == 0 || n.Endpoints[0] == "" { // they are sorted
		faults = append(faults, errors.New("etcd endpoints: at least one is needed, and none may be empty"))
	}
	if slices.ContainsFunc(c.Endpoints, func(e string) bool { return strings.Contains(e, "@") }) {
		faults = append(faults, errors.New("etcd endpoints: must be without @, credentials are set in Username and Password"))
	}
	if (c.Username == "") != (c.Password == "") {
		faults = append(faults, errors.New("etcd user and pass: set both or neither"))
	}
	if (c.TLSFiles.Cert == "") != (c.TLSFiles.Key == "") {
		faults = append(faults, errors.New("etcd tls cert and key: set both or neither"))
	}
	if c.TLS != nil && c.TLSFiles != (TLSFiles{}) {
		faults = append(faults, errors.New("etcd tls: give files or a tls.Config, not both"))
	}
	if c.DialTimeout < 0 {
		faults = append(faults, fmt.Errorf("etcd dial timeout %v: must not be negative", c.DialTimeout))
	}
	return errors.Join(append(faults, c.validateSchemes())...)
}

// validateSchemes keeps a connection from being without TLS unnoticed: the etcd
// client looks at the first endpoint only.
func (c EtcdConnection) validateSchemes() error {
	schemes := map[string]bool{}
	for _, endpoint := range c.Endpoints {
		scheme, _, found := strings.Cut(endpoint, "://")
		if !found {
			scheme = ""
		}
		schemes[scheme] = true
	}
	switch {
	case len(schemes) > 1:
		return errors.New("etcd endpoints: use http:// for all, https:// for all or no scheme for all")
	case schemes["http"] && (c.TLS != nil || c.TLSFiles != TLSFiles{}):
		return errors.New("etcd endpoints: http:// is not encrypted, use https:// with the tls settings")
	}
	return nil
}

// security is encrypted with TLS settings and for endpoints that ask for it. The
// etcd client, too, decides by the first endpoint.
func (c EtcdConnection) security() security {
	asked := len(c.Endpoints) > 0 && (strings.HasPrefix(c.Endpoints[0], "https:") || strings.HasPrefix(c.Endpoints[0], "unixs:"))
	if asked || c.TLS != nil || c.TLSFiles != (TLSFiles{}) {
		return encrypted
	}
	return plain
}

// tlsConfig reads the files, if there are any.
func (c EtcdConnection) tlsConfig() (*tls.Config, error) {
	if c.TLS != nil {
		return c.TLS, nil
	}
	return LoadTLS(c.TLSFiles)
}
