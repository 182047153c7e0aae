package group

import (
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// keys makes the keys of wire.md 12.2. Groups and members are as Pitaya has
// them; the rest is where it does not look: below a group beside uids/, and
// below a group without a name.
type keys struct {
	prefix string
}

// all is the prefix of everything.
func (k keys) all() string { return k.prefix + "groups/" }

func (k keys) group(name string) string { return k.all() + escape(name) }

// members is the prefix of the keys of all members.
func (k keys) members(name string) string { return k.group(name) + "/uids/" }

func (k keys) member(name, uid string) string { return k.members(name) + escape(uid) }

// profiles is the prefix of what is known of members.
func (k keys) profiles(name string) string { return k.group(name) + "/x/" }

func (k keys) profile(name, uid string) string { return k.profiles(name) + escape(uid) }

// server is there while a server can hold members.
func (k keys) server(h Holder) string {
	return k.all() + "/servers/" + escape(h.Server) + "/" + escape(h.Run)
}

// holds is the prefix of what a server has to end when a user unbinds.
func (k keys) holds(h Holder) string {
	return k.all() + "/held/" + escape(h.Server) + "/" + escape(h.Run) + "/"
}

func (k keys) hold(h Holder, name, uid string) string {
	return k.holds(h) + escape(uid) + "/" + escape(name)
}

// keyKind is what a key is of.
type keyKind int

const (
	keyOther keyKind = iota
	keyGroup
	keyMember
	keyProfile
	keyServer
)

// split is the inverse of the above: the group and uid, or the server and run.
func (k keys) split(key string) (kind keyKind, a, b string) {
	rest, ok := strings.CutPrefix(key, k.all())
	if !ok {
		return keyOther, "", ""
	}
	parts := strings.Split(rest, "/")
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	switch {
	case len(parts) == 4 && parts[0] == "" && parts[1] == "servers":
		return keyServer, parts[2], parts[3]
	case parts[0] == "":
		return keyOther, "", ""
	case len(parts) == 1:
		return keyGroup, parts[0], ""
	case len(parts) == 3 && parts[1] == "uids" && parts[2] != "":
		return keyMember, parts[0], parts[2]
	case len(parts) == 3 && parts[1] == "x" && parts[2] != "":
		return keyProfile, parts[0], parts[2]
	}
	return keyOther, "", ""
}

// splitHold is the inverse of hold: what comes after holds.
func (k keys) splitHold(rest string) (name, uid string, ok bool) {
	uid, name, ok = strings.Cut(rest, "/")
	return unescape(name), unescape(uid), ok && uid != "" && name != "" && !strings.Contains(name, "/")
}

// escape keeps a name or uid within its part of a key. Only a slash, and what
// looks like our own escapes, changes: everything else stands in etcd as
// Pitaya writes it.
func escape(s string) string {
	if !strings.ContainsAny(s, "/%") {
		return s
	}
	return strings.NewReplacer("%2F", "%252F", "%25", "%2525", "/", "%2F").Replace(s)
}

// unescape is the reverse of escape. What another program wrote comes out as
// it is.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return strings.NewReplacer("%2F", "/", "%25", "%").Replace(s)
}

// emptying deletes everything that belongs to a group.
func (k keys) emptying(name string) []clientv3.Op {
	return []clientv3.Op{
		clientv3.OpDelete(k.members(name), clientv3.WithPrefix()),
		clientv3.OpDelete(k.profiles(name), clientv3.WithPrefix()),
	}
}
