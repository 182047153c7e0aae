package constants

// Version of cereus. Command line, health and logs show it.
const Version = "0.1.0"

// Keys of the metadata that a call carries (wire.md 9.3). Unknown keys are
// passed on as they came.
const (
	// PeerIDKey and PeerServiceKey: id and type of the calling server, text,
	// replaced at every hop.
	PeerIDKey      = "peer.id"
	PeerServiceKey = "peer.service"
	// RequestIDKey: text that names a client's request over all hops.
	RequestIDKey = "request.id"
	// RouteKey: the route of the request that is being served, text.
	RouteKey = "req-route"
	// StartTimeKey: when the request came in, Unix time in nanoseconds, a
	// number that loses digits at every hop through JSON.
	StartTimeKey = "req-start-time"
	// TimeoutKey: the caller's timeout, a Go duration as text. Anything but
	// text kills a Pitaya server.
	TimeoutKey = "reqTimeout"
	// MetricTagsKey: labels of the application, an object of texts.
	MetricTagsKey = "metric-tags"
	// OtelSpanKey: OpenTelemetry span of Pitaya v3, an object of texts; left
	// out when there is no span.
	OtelSpanKey = "otel-span"
	// OpenTracingSpanKey: span of Pitaya v2, an object of texts.
	OpenTracingSpanKey = "opentracing-span"
)

// MetadataPrefix begins the metadata keys that are ours and that hold for a
// whole tree of calls.
const MetadataPrefix = "cereus."

// HopsKey counts the servers that a call has come through: 1 for one that
// serves no other call, or a client's message; a number.
const HopsKey = MetadataPrefix + "hops"

// MaxHops is the highest HopsKey that is sent or served. Beyond it routes call
// each other in a circle.
const MaxHops = 16

// Capabilities that servers list in discovery. An extension is used only
// towards a server that lists it.
const (
	// CapOrder: forwards carry sequence and epoch and run in the order sent.
	CapOrder = "order"
	// CapPush: one message pushes to many users of a frontend.
	CapPush = "push"
	// CapMerge: session data travels as changed keys.
	CapMerge = "merge"
	// CapLeader: the server can lead its type.
	CapLeader = "leader"
	// CapCancel: the server takes word that a caller waits no more.
	CapCancel = "cancel"
	// CapBundle: the server takes several requests in one message of NATS.
	CapBundle = "bundle"
	// CapLoad: the server tells the cluster its load at an interval.
	CapLoad = "load"
	// CapSessions: the frontend tells what happens to its sessions.
	CapSessions = "sessions"
)
