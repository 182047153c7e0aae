package group

import "strings"

// keys makes the keys of wire.md 12.2.
type keys struct {
	prefix string
}

func (k keys) group(name string) string { return k.prefix + "groups/" + escape(name) }

// members is the prefix of the keys of all members.
func (k keys) members(name string) string { return k.group(name) + "/uids/" }

func (k keys) member(name, uid string) string { return k.members(name) + escape(uid) }

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
