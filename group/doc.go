// Package group keeps named sets of uids: the members of a room, a guild, a
// match. [Groups] is what an application uses; a [Store] keeps them, in this
// process ([NewMemoryStore]) or in etcd for the whole cluster ([NewEtcdStore],
// with the keys of wire.md 12.2, which Pitaya servers read and write too).
//
// Sending to a group is the app's affair: it asks for the members and pushes.
package group
