// Package router picks the server that gets a call.
//
// A call names a server type; discovery knows the servers of that type. A
// [Func] chooses among them: by default [Random], or whatever the application
// sets with [Router.Set] for a type, for clients' messages, for calls of servers
// or for both. Servers that are draining, paused or suspect are not offered to
// any, and a call that failed at a server is not offered that one again. Servers
// that are busy are offered: a key and a session stay with them, but what nothing
// binds goes there only when it is offered no other.
//
// Which one when:
//
//	the servers of the type ...                                    take
//	are all the same, and keep nothing in memory between calls     [Random], which is the default
//	the same, but calls are few and long                           [RoundRobin]
//	differ in what they can do                                     any, and give them weights
//	may become slow: calls cost much, or differ much               [LeastLoaded]
//	keep something in memory that has a name: a room, a guild      [Rendezvous] and a key, or cereus.WithKey
//	the same, and some names are much busier than others           [Rendezvous] with a [Bound]
//	keep something in memory for a player's session                [Sticky]
//	exist in several versions, for clients of several versions     [ByVersion]
//	are new, and only some players should meet them for now        [Canary]
//	are in several data centres or zones                           [Zone]
//	anything else                                                  a Func of your own
//
// Weights count in all of them. The last four choose among fewer servers, or
// only once, and leave the choice itself to another, so that they can be put
// into one another; the outermost decides first. Sticky belongs outermost:
//
//	Sticky(Canary(percent, Zone(here, LeastLoaded(load))), moved)
//
// A key and a session are kept differently. Rendezvous works the server out
// from the key: every server of the cluster comes to the same result without
// remembering anything, and when servers come, some keys move to them. Sticky
// remembers what was chosen: nothing moves when servers come, but each server
// remembers for itself. Neither moves what a server has in memory.
//
// A Func of one's own may choose by all that a [Call] tells, and may hand on to
// those above.
package router
