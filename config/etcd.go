package config

import (
	"iter"
	"strings"
)

// etcdConnections are those of the tree, by their section.
func (c *Config) etcdConnections() iter.Seq2[string, EtcdConnection] {
	return func(yield func(string, EtcdConnection) bool) {
		_ = yield("cluster.sd.etcd", c.Cluster.SD.Etcd.EtcdConnection) && yield("groups.etcd", c.Groups.Etcd.EtcdConnection)
	}
}

// crossFaults are those of settings that are right each by itself. Their keys
// are without the root.
func crossFaults(c *Config) []*Fault {
	var faults []*Fault
	for section, etcd := range c.etcdConnections() {
		faults = append(faults, etcd.TLS.faults(section+".tls")...)
		if want := etcd.schemeFault(); want != "" {
			faults = append(faults, &Fault{Key: section + ".endpoints", Want: want})
		}
	}
	return append(faults, c.Cluster.Router.faults()...)
}

func (t TLS) faults(section string) []*Fault {
	const pair = "a certificate and its key go together: set both or neither"
	switch {
	case t.Cert != "" && t.Key == "":
		return []*Fault{{Key: section + ".key", Want: pair}}
	case t.Cert == "" && t.Key != "":
		return []*Fault{{Key: section + ".cert", Want: pair}}
	}
	return nil
}

// schemeFault keeps a connection from being without TLS unnoticed: the etcd
// client looks at the first endpoint only.
func (c EtcdConnection) schemeFault() string {
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
		return "must be all http://, all https:// or all without a scheme"
	case schemes["http"] && c.TLS != (TLS{}):
		return "must be https:// with the tls keys: http:// is not encrypted"
	}
	return ""
}
