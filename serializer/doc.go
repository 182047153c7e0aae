// Package serializer turns the arguments and results of handlers and remotes
// into payload bytes and back. Clients learn a server's serializer by name in
// the handshake (wire.md 2.3).
package serializer
