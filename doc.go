// Package cereus is a game-server cluster framework.
//
// A game is written as servers of several types. Frontends hold the players'
// connections, backends hold the game; etcd tells every server who is there and
// NATS carries the calls between them. A client that asks a frontend for
// "room.lobby.join" is answered by a server of type room, and does not know.
//
//	app, err := cereus.New(cereus.Backend("room"))
//	if err != nil { ... }
//	if err := app.Register(&Lobby{}, component.WithName("lobby")); err != nil { ... }
//	err = app.Run(ctx) // until ctx ends, or the server can no longer do its work
//
// An App is assembled by New, which does nothing else, and lives from Start to
// Shutdown; Run does both. Any number of them live in one process.
//
// Servers call each other with Call, App.RPC and their siblings: to a type, by a
// key, to the leader, to all. Every call ends once, at its deadline at the
// latest, and its error says what to do; docs/calls.md explains it.
//
// Clients of Pitaya and Pomelo connect unchanged, and in a cluster over NATS
// Pitaya's servers and these call each other.
package cereus
