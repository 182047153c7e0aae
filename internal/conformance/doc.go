// Package conformance holds the tests that play the recordings of real Pitaya
// clusters (wire.md section 20) against running cereus servers: what clients
// sent, what servers sent each other on NATS, what stood in etcd. It has no
// code of its own.
package conformance
