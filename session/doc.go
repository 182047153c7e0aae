// Package session is the player behind a connection.
//
// On a frontend a [Session] belongs to one client connection and lives in the
// server's [Pool], where it can be found by id and, once bound, by uid. On a
// backend it is a stand-in made from what the frontend sent along with a
// message (wire.md 9.1); everything it does to the outside goes back to that
// frontend. Handlers get it with [FromContext] and need not care which it is.
//
// A session carries data: a JSON object (wire.md 10.1) that every forwarded
// message takes along. Values are encoded when they are set and decoded when
// they are read, so numbers stay exact and nothing is shared by accident.
//
// A session ends with its connection. Resuming one would give it another
// [Entity] instead of closing it; id, uid and data are independent of that.
package session
