// Package router picks the server that gets a call.
//
// A call names a server type; discovery knows the servers of that type. A
// [Func] chooses among them: by default [Random], which gives a server of twice
// the weight twice the work, for handlers and for remotes of a type whatever the
// application sets with [Router.Set], to keep a room on one server for example.
// Servers that are draining, paused or suspect are not offered to any.
package router
