// Package agent drives one client connection: its state machine, its write
// queue and its heartbeats (wire.md section 2, design section 4).
//
// An idle connection costs the goroutine that reads it and nothing else: the
// writer runs only while there is something to write, and one goroutine sends
// the heartbeats of all connections of a Host.
//
// Where a connection ends, and why, is in one place: Agent.end closes the
// session, which closes the Agent. A session that is to survive its connection
// would be kept there, for the reasons that say so (broken, timeout), and given
// to the Agent of the next connection in Agent.open. Moving players ends their
// sessions with protocol.ReasonMoved, which does not kick.
package agent
