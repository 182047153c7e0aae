// Package group keeps named sets of uids: the members of a room, a guild, a
// match. [Groups] is what an application uses, App.Groups for one. A [Store]
// keeps them: in this process ([NewMemoryStore]), or for the whole cluster in etcd
// ([NewEtcdStore], with the keys of wire.md 12.2, which Pitaya servers read and
// write too) or in JetStream ([NewJetStreamStore]).
//
// A member stays until it is removed, or ends with a server ([HeldBy]) or with
// the user's session ([UntilUnbind]). What makes that hold differs: etcd has the
// member's keys on a lease of the server, so that they end also when nobody else
// is left; in JetStream the server has a key with a ttl, and whoever sees it end
// takes the members out; in memory service discovery says who is gone.
//
// Sending to a group is the app's affair: it asks for the members and pushes.
package group
