// Package registry lets any service be found, not only game servers: a login, a
// payment or a web service registers its instances, and others list and watch
// them by name. Leases, watches and what becomes of them when etcd is away are
// those of package cluster.
//
// # Names and ids
//
// An Instance has a Name, what it does, and an ID, unique within its name. An
// instance without an ID gets one from its lease in etcd. Game servers can be seen
// too: their Name is the server type, and Game is true. When a service and a type
// of game servers have one name, both are listed under it.
//
// # What is where in etcd
//
// A service's instance is at <namespace>x/services/<name>/<id>, under a lease of
// its own, with a value in the form of a server's (wire.md 6.1):
//
//	{"id":"l1","type":"login","metadata":{"addr":"10.0.0.7:80,10.0.0.7:443","zone":"eu"},
//	 "frontend":false,"hostname":"","cereus":{"v":1,"nonce":"...","caps":[],"state":"up","weight":0}}
//
// Addresses stand in the metadata under MetadataAddresses, joined with commas. A
// program in another language may put such a value itself, without "cereus"; it
// then keeps its lease itself. Game servers are at <namespace>servers/<type>/<id>
// and are only read here.
//
// # What can be relied on
//
// Get answers from memory. While etcd is away it answers with what was last
// known, and Degraded says so. An instance that says goodbye is gone for others at
// once, one that crashes when its lease runs out (Params.TTL). A Watcher tells
// every change once and in order, or says that it cannot and begins with a new
// list. What was registered stays so until Deregister or Shutdown, and comes back
// by itself when etcd lost it.
//
// A Registry is a module of a cereus app (app.RegisterModule), or stands alone: a
// plain program calls Init at its start and Shutdown at its end.
package registry
