package cluster

// LoadEvent names something that a LoadReporter counts.
type LoadEvent string

// What is counted.
const (
	LoadSent      LoadEvent = "sent"      // a report of this server was handed to NATS
	LoadUnsent    LoadEvent = "unsent"    // one was not, because NATS is away
	LoadHeard     LoadEvent = "heard"     // a report of another server counted
	LoadMalformed LoadEvent = "malformed" // bytes that are no report, or one out of bounds
	LoadUnknown   LoadEvent = "unknown"   // a report of a server, or of a run of it, that discovery does not know
)

// LoadMetrics is told of load reports. Its methods must not block.
type LoadMetrics interface {
	// CountLoad counts one more event.
	CountLoad(event LoadEvent)
	// SetLoad is what this server tells of itself, at every report.
	SetLoad(l Load)
}

// noLoadMetrics stands in for absent LoadMetrics.
type noLoadMetrics struct{}

func (noLoadMetrics) CountLoad(LoadEvent) {}
func (noLoadMetrics) SetLoad(Load)        {}
