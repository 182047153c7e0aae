// Package agent drives one client connection: its state machine, its write
// queue and its heartbeats (wire.md section 2, design section 4).
//
// An idle connection costs the goroutine that reads it and nothing else: the
// writer runs only while there is something to write, and one goroutine sends
// the heartbeats of all connections of a Host.
package agent
