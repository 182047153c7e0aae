// Package component turns an application's values into the handlers that
// answer clients and the remotes that answer servers.
//
// A component is any value. Its methods get into a [Table] in one of two ways.
//
// Found: [Table.Register] looks once, by reflection, at the exported methods
// whose first parameter is a context.Context:
//
//	func (l *Lobby) Join(ctx context.Context, req *JoinRequest) (*JoinReply, error) // request
//	func (l *Lobby) Echo(ctx context.Context, body []byte) ([]byte, error)          // bytes pass as they are
//	func (l *Lobby) Stats(ctx context.Context) (*Stats, error)                      // no argument
//	func (l *Lobby) Typing(ctx context.Context, req *Typing)                        // notify: no answer
//
// Listed: a component with a method Routes(*component.Routes) names its
// handlers itself, with the generic functions [Handle], [Notify] and [Remote].
// They fold the types away at registration, so that a call costs no
// reflection; only what is listed can then be reached.
//
//	func (l *Lobby) Routes(r *component.Routes) {
//		component.Handle(r, "join", l.Join)
//		component.Notify(r, "typing", l.Typing)
//		component.Remote(r, "stats", l.RemoteStats)
//	}
//
// Both ways end in the same table; handlers and remotes are separate name
// spaces (wire.md 9.1).
package component
