// Package protocol is the client protocol as bytes: packets, the handshake and
// messages (wire.md sections 1 to 4.1). It holds no state and does no I/O.
//
// Encoders append to a buffer of the caller's and return it; on an error the
// buffer comes back as it was. Decoders take bytes from strangers: they check
// before every index, never panic, and never allocate by an announced length.
package protocol
