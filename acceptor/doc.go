// Package acceptor takes clients in: it listens on TCP, WebSocket or memory,
// brings TLS, the HTTP upgrade and the PROXY protocol behind it, and hands out
// one Conn per client that moves whole packets and looks the same on every
// transport (wire.md 1).
//
// An idle connection on a plain socket costs one parked goroutine and no
// buffer: buffers are borrowed from the acceptor's pool when bytes have come.
package acceptor
