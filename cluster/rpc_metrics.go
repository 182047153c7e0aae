package cluster

// RPCEvent names something that an RPC part counts.
type RPCEvent string

// What is counted.
const (
	EventTimeout     RPCEvent = "timeout"            // a call got no answer in time
	EventUndelivered RPCEvent = "undelivered"        // a message was certainly not delivered
	EventMaybe       RPCEvent = "maybe_run"          // a connection broke during a call
	EventLateReply   RPCEvent = "late_reply"         // an answer to no pending call: late or twice
	EventMalformed   RPCEvent = "malformed"          // bytes on a subject of ours that are not what belongs there
	EventTooLarge    RPCEvent = "too_large"          // over the payload limit of NATS
	EventDropped     RPCEvent = "dropped"            // pushes and kicks beyond the queue
	EventPanic       RPCEvent = "panic"              // a handler panicked
	EventForeignMail RPCEvent = "foreign_reply"      // a reply subject that is no reply inbox
	EventPaused      RPCEvent = "paused"             // this process stood still for a while
	EventCancelled   RPCEvent = "cancelled"          // a caller took its call back
	EventLost        RPCEvent = "connection_lost"    // a NATS connection broke
	EventConnected   RPCEvent = "connected"          // a NATS connection stands
	EventMoved       RPCEvent = "lame_duck_moved"    // moved away from a NATS node in lame duck mode
	EventRebuilt     RPCEvent = "connection_rebuilt" // a connection that NATS closed for good was made anew
)

// RPCMetrics counts events. CountRPC is called from many goroutines, also on
// hot paths, and must not block.
type RPCMetrics interface{ CountRPC(event RPCEvent) }

// noMetrics stands in for absent RPCMetrics.
type noMetrics struct{}

func (noMetrics) CountRPC(RPCEvent) {}
