package cereus

import (
	"sync/atomic"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/metrics"
)

// rpcMeter counts what happens to calls.
type rpcMeter struct{ metrics *metrics.Metrics }

var _ cluster.RPCMetrics = rpcMeter{}

func (m rpcMeter) CountRPC(event cluster.RPCEvent) {
	switch event {
	case cluster.EventMalformed, cluster.EventForeignMail:
		m.metrics.RPCMalformed()
	case cluster.EventDropped:
		m.metrics.RPCDropped()
	case cluster.EventPanic:
		m.metrics.Panic("rpc")
	}
	m.metrics.RPCCall(string(event))
}

// natsMeter counts what happens to a NATS connection, and to what is sent on it.
type natsMeter struct {
	rpcMeter
	connection string
	connected  atomic.Bool // it was, once
}

func (m *natsMeter) CountRPC(event cluster.RPCEvent) {
	switch event {
	case cluster.EventLost:
		m.metrics.NATSDown(m.connection)
	case cluster.EventConnected:
		m.metrics.NATSUp(m.connection)
		if m.connected.Swap(true) {
			m.metrics.NATSReconnected()
		}
	case cluster.EventMoved, cluster.EventRebuilt: // EventConnected told of the new connection
	default:
		m.rpcMeter.CountRPC(event)
	}
}

// discoveryMeter counts what service discovery tells.
type discoveryMeter struct{ metrics *metrics.Metrics }

var _ cluster.DiscoveryMetrics = discoveryMeter{}

func (m discoveryMeter) ServersPresent(int) {}
func (m discoveryMeter) EntrySkipped()      { m.metrics.SDBadEntry() }
func (m discoveryMeter) Relisted(string)    { m.metrics.SDRelisted() }
func (m discoveryMeter) LeaseLost()         { m.metrics.SDLeaseLost() }
func (m discoveryMeter) ListenerPanicked()  { m.metrics.Panic("discovery listener") }

// acceptorMeter counts who does not get in; agents count who does.
type acceptorMeter struct{ metrics *metrics.Metrics }

var _ acceptor.Metrics = acceptorMeter{}

func (m acceptorMeter) Accepted()                    {}
func (m acceptorMeter) Refused(why acceptor.Refusal) { m.metrics.ConnectionRefused(string(why)) }
func (m acceptorMeter) Closed()                      {}
func (m acceptorMeter) AcceptFailed()                { m.metrics.AcceptFailed() }

// serverCounts keeps the number of servers per type in the metrics.
type serverCounts struct {
	metrics *metrics.Metrics
	count   map[string]int // one goroutine calls a listener
}

func (c *serverCounts) AddServer(e cluster.Event)    { c.change(e.Type, 1) }
func (c *serverCounts) RemoveServer(e cluster.Event) { c.change(e.Type, -1) }

func (c *serverCounts) change(serverType string, by int) {
	c.count[serverType] += by
	c.metrics.SetServers(serverType, c.count[serverType])
}

// customMetrics turns the configuration's form into that of package metrics.
func customMetrics(c config.CustomMetrics) []metrics.Custom {
	var all []metrics.Custom
	for _, m := range c.Counters {
		all = append(all, metrics.Custom{Type: metrics.Counter, Subsystem: m.Subsystem, Name: m.Name, Help: m.Help, Labels: m.Labels})
	}
	for _, m := range c.Gauges {
		all = append(all, metrics.Custom{Type: metrics.Gauge, Subsystem: m.Subsystem, Name: m.Name, Help: m.Help, Labels: m.Labels})
	}
	for _, m := range c.Summaries {
		all = append(all, metrics.Custom{Type: metrics.Summary, Subsystem: m.Subsystem, Name: m.Name, Help: m.Help, Labels: m.Labels, Objectives: m.Objectives})
	}
	for _, m := range c.Histograms {
		all = append(all, metrics.Custom{Type: metrics.Histogram, Subsystem: m.Subsystem, Name: m.Name, Help: m.Help, Labels: m.Labels, Buckets: m.Buckets})
	}
	return all
}
