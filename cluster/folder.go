package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Folder is the place in etcd, inside the prefix, that an EtcdDiscovery is about.
type Folder string

const (
	// FolderServers is the cluster's own (wire.md 6.1): keys servers/<type>/<id>,
	// and ids that are unique in the cluster.
	FolderServers Folder = "servers/"
	// FolderServices has what package registry registers: keys
	// x/services/<type>/<id>, with values like those of servers. An id is unique
	// within its type only, so that Server.ID of what the discovery tells, and of a
	// Registration, is <type>/<id>.
	FolderServices Folder = "x/services/"
)

var (
	errBadKey   = errors.New("the key is not one of a server: <folder>/<type>/<id>")
	errTooBig   = errors.New("the value is too big for a server")
	errMismatch = errors.New("the value names another server than its key")
)

// validate checks a discovery's folder, and whether it may have a server of its own.
func (f Folder) validate(self *Server) error {
	switch {
	case f != FolderServers && f != FolderServices:
		return fmt.Errorf("etcd folder %q: use FolderServers or FolderServices", f)
	case f == FolderServices && self != nil:
		return errors.New("etcd folder of services: leave Self out, and Enlist")
	}
	return nil
}

// id is Server.ID of what stands at <type>/<id>.
func (f Folder) id(serverType, id string) string {
	if f == FolderServices && id != "" {
		return serverType + "/" + id
	}
	return id
}

// holds reports whether a key is in the folder.
func (f Folder) holds(key []byte) bool { return bytes.HasPrefix(key, []byte(f)) }

// followed is the range of keys to follow: that of the servers has the leaders, too.
func (f Folder) followed() (from, to string) {
	if f == FolderServers {
		return leadersPrefix, followedEnd
	}
	return string(f), clientv3.GetPrefixRangeEnd(string(f))
}

// key is the key of a server inside the etcd prefix.
func (f Folder) key(serverType, id string) string {
	if f == FolderServices {
		return string(f) + id
	}
	return string(f) + serverType + "/" + id
}

// split is the inverse of key; it accepts what ValidServerName does.
func (f Folder) split(key string) (serverType, id string, err error) {
	rest, ok := strings.CutPrefix(key, string(f))
	if !ok {
		return "", "", errBadKey
	}
	serverType, id, ok = strings.Cut(rest, "/")
	if !ok || !ValidServerName(serverType) || !ValidServerName(id) {
		return "", "", errBadKey
	}
	if f == FolderServices {
		id = rest
	}
	return serverType, id, nil
}

// parse reads one entry of etcd: the key without the outer prefix, and the value
// of the server that the key names.
func (f Folder) parse(key string, value []byte) (*Server, error) {
	serverType, id, err := f.split(key)
	if err != nil {
		return nil, err
	}
	if len(value) > maxServerValue {
		return nil, errTooBig
	}
	s, err := decodeServer(value)
	if err != nil {
		return nil, err
	}
	if f == FolderServices {
		s.ID = f.id(s.Type, s.ID)
	}
	if s.ID != id || s.Type != serverType {
		return nil, errMismatch
	}
	return s, nil
}

// plain is the server with the id that its value has.
func (f Folder) plain(s *Server) *Server {
	if f == FolderServices {
		return s.withID(strings.TrimPrefix(s.ID, s.Type+"/"))
	}
	return s
}

// value is what stands in etcd for a server.
func (f Folder) value(s *Server) ([]byte, error) { return json.Marshal(f.plain(s)) }

// serverKey is the key of a server in FolderServers.
func serverKey(serverType, id string) string { return FolderServers.key(serverType, id) }
