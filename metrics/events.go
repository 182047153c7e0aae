package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// events are the counters and gauges that are not about routes.
type events struct {
	clients           prometheus.Gauge
	connectionsOpened prometheus.Counter
	connectionsClosed *bounded[prometheus.Counter]
	connectionsTurned *bounded[prometheus.Counter]
	acceptFailures    prometheus.Counter
	rateLimited       prometheus.Counter
	protocolErrors    *bounded[prometheus.Counter]
	mailboxFull       prometheus.Counter
	writeQueueSlow    prometheus.Counter
	panics            *bounded[prometheus.Counter]
	pushes            *bounded[prometheus.Counter]

	rpcCalls     *bounded[prometheus.Counter]
	rpcFailovers prometheus.Counter
	rpcRetries   prometheus.Counter
	rpcHung      prometheus.Counter
	rpcAbandoned prometheus.Counter
	rpcMalformed prometheus.Counter
	rpcConflicts prometheus.Counter
	rpcBusy      prometheus.Counter
	rpcExpired   prometheus.Counter
	rpcDropped   prometheus.Gauge

	natsReconnects prometheus.Counter
	natsConnected  *bounded[prometheus.Gauge]

	loadReports  *bounded[prometheus.Counter]
	loadCPU      prometheus.Gauge
	loadMemory   prometheus.Gauge
	loadInFlight prometheus.Gauge

	servers       *bounded[prometheus.Gauge]
	sdRelists     prometheus.Counter
	sdLeaseLosses prometheus.Counter
	sdBadEntries  prometheus.Counter
}

func newEvents(f *factory) events {
	return events{
		clients:           f.gauge("pitaya_acceptor_connected_clients", "client connections that are open"),
		connectionsOpened: f.counter("cereus_connections_opened_total", "client connections that were opened"),
		connectionsTurned: f.counters("cereus_connections_refused_total", "reason", "client connections that were refused before they reached the game, by reason"),
		acceptFailures:    f.counter("cereus_accept_failures_total", "accepts that failed and were tried again, for want of file descriptors for one"),
		connectionsClosed: f.counters("cereus_connections_closed_total", "reason", "client connections that were closed, by reason"),
		rateLimited:       f.counter("pitaya_acceptor_exceeded_rate_limiting", "packets refused by rate limiting"),
		protocolErrors:    f.counters("cereus_protocol_errors_total", "kind", "bytes from clients that broke the protocol, by kind"),
		mailboxFull:       f.counter("cereus_mailbox_full_total", "times a full mailbox stopped the reading of a connection"),
		writeQueueSlow:    f.counter("cereus_write_queue_slow_total", "connections closed because their write queue was full"),
		panics:            f.counters("cereus_panics_total", "where", "panics of user code that were recovered, by place"),
		pushes:            f.counters("cereus_pushes_total", "outcome", "pushes to clients, by outcome"),
		rpcCalls:          f.counters("cereus_rpc_calls_total", "outcome", "calls between servers that did not go smoothly, by what happened: timeout, undelivered, maybe_run, late_reply, cancelled, too_large, malformed, foreign_reply, dropped, panic; paused is a standstill of this process"),
		rpcFailovers:      f.counter("cereus_rpc_failovers_total", "calls that were not delivered and went to another server"),
		rpcRetries:        f.counter("cereus_rpc_retries_total", "idempotent calls that may have run and were sent to another server"),
		rpcHung:           f.counter("cereus_rpc_hung_total", "times a server let calls time out and was passed over until it answered"),
		rpcAbandoned:      f.counter("cereus_rpc_abandoned_total", "calls that were given up because their server was gone"),
		rpcMalformed:      f.counter("cereus_rpc_malformed_total", "messages on our subjects that could not be decoded"),
		rpcConflicts:      f.counter("cereus_rpc_conflicts_total", "forwards refused because a later one of their session had run"),
		rpcBusy:           f.counter("cereus_rpc_busy_total", "calls from other servers answered with Busy"),
		rpcExpired:        f.counter("cereus_rpc_expired_total", "calls from other servers that came too late to be started"),
		rpcDropped:        f.gauge("pitaya_rpc_server_dropped_messages", "messages from other servers that were lost between NATS and this server"),
		natsReconnects:    f.counter("cereus_nats_reconnects_total", "reconnects to NATS"),
		natsConnected:     f.gauges("cereus_nats_connected", "connection", "1 while the NATS connection is up, else 0"),
		loadReports:       f.counters("cereus_load_reports_total", "outcome", "load reports: sent, unsent (NATS was away), heard, malformed, unknown (of a server that discovery does not know)"),
		loadCPU:           f.gauge("cereus_load_cpu", "share of the processor time that this process may use which it did use, 0 to 1, as it tells the cluster"),
		loadMemory:        f.gauge("cereus_load_memory_bytes", "bytes that this process has from the operating system, as it tells the cluster"),
		loadInFlight:      f.gauge("cereus_load_in_flight", "handlers and remotes that run or wait, as this server tells the cluster"),
		servers:           f.gauges("pitaya_service_discovery_count_servers", "type", "servers in the view, by type"),
		sdRelists:         f.counter("cereus_sd_relists_total", "full listings of etcd"),
		sdLeaseLosses:     f.counter("cereus_sd_lease_losses_total", "leases lost"),
		sdBadEntries:      f.counter("cereus_sd_bad_entries_total", "entries in etcd that were skipped because they could not be read"),
	}
}

// ConnectionOpened counts a new client connection.
func (m *Metrics) ConnectionOpened() {
	if m != nil {
		m.events.clients.Inc()
		m.events.connectionsOpened.Inc()
	}
}

// ConnectionRefused counts a connection that the transport turned away.
func (m *Metrics) ConnectionRefused(reason string) {
	if m != nil {
		m.events.connectionsTurned.value(reason).Inc()
	}
}

// AcceptFailed counts an accept that is tried again.
func (m *Metrics) AcceptFailed() {
	if m != nil {
		m.events.acceptFailures.Inc()
	}
}

// ConnectionClosed counts the end of a connection that ConnectionOpened has
// counted. Call it once per connection.
func (m *Metrics) ConnectionClosed(reason string) {
	if m != nil {
		m.events.clients.Dec()
		m.events.connectionsClosed.value(reason).Inc()
	}
}

// RateLimited counts a packet that rate limiting refused.
func (m *Metrics) RateLimited() {
	if m != nil {
		m.events.rateLimited.Inc()
	}
}

// ProtocolError counts a violation of the client protocol.
func (m *Metrics) ProtocolError(kind string) {
	if m != nil {
		m.events.protocolErrors.value(kind).Inc()
	}
}

// MailboxFull counts a connection that is no longer read because its mailbox is full.
func (m *Metrics) MailboxFull() {
	if m != nil {
		m.events.mailboxFull.Inc()
	}
}

// WriteQueueSlow counts a connection that is closed because its write queue is full.
func (m *Metrics) WriteQueueSlow() {
	if m != nil {
		m.events.writeQueueSlow.Inc()
	}
}

// Panic counts a recovered panic of user code; where is a constant such as "handler".
func (m *Metrics) Panic(where string) {
	if m != nil {
		m.events.panics.value(where).Inc()
	}
}

// Pushes counts n pushes with one outcome.
func (m *Metrics) Pushes(outcome string, n int) {
	if m != nil && n > 0 {
		m.events.pushes.value(outcome).Add(float64(n))
	}
}

// RPCCall counts something that happened to calls between servers.
func (m *Metrics) RPCCall(outcome string) {
	if m != nil {
		m.events.rpcCalls.value(outcome).Inc()
	}
}

// RPCFailover counts a call that was not delivered and is sent to another server.
func (m *Metrics) RPCFailover() {
	if m != nil {
		m.events.rpcFailovers.Inc()
	}
}

// RPCRetry counts an idempotent call that may have run and is sent to another server.
func (m *Metrics) RPCRetry() {
	if m != nil {
		m.events.rpcRetries.Inc()
	}
}

// RPCHung counts a server that lets calls time out and is passed over for it.
func (m *Metrics) RPCHung() {
	if m != nil {
		m.events.rpcHung.Inc()
	}
}

// RPCAbandoned counts calls that are given up because their server is gone.
func (m *Metrics) RPCAbandoned(calls int) {
	if m != nil {
		m.events.rpcAbandoned.Add(float64(calls))
	}
}

// RPCMalformed counts a message from another server that cannot be decoded.
func (m *Metrics) RPCMalformed() {
	if m != nil {
		m.events.rpcMalformed.Inc()
	}
}

// RPCConflict counts a forward that came after a later one of its session.
func (m *Metrics) RPCConflict() {
	if m != nil {
		m.events.rpcConflicts.Inc()
	}
}

// RPCBusy counts a call from another server that is answered with Busy.
func (m *Metrics) RPCBusy() {
	if m != nil {
		m.events.rpcBusy.Inc()
	}
}

// RPCExpired counts a call from another server whose time had run out.
func (m *Metrics) RPCExpired() {
	if m != nil {
		m.events.rpcExpired.Inc()
	}
}

// RPCDropped sets the number of messages lost between NATS and this server so far.
func (m *Metrics) RPCDropped(total int) {
	if m != nil {
		m.events.rpcDropped.Set(float64(total))
	}
}

// NATSUp says that a connection to NATS is up; connection is a constant such as "client".
func (m *Metrics) NATSUp(connection string) {
	if m != nil {
		m.events.natsConnected.value(connection).Set(1)
	}
}

// NATSDown says that a connection to NATS is down.
func (m *Metrics) NATSDown(connection string) {
	if m != nil {
		m.events.natsConnected.value(connection).Set(0)
	}
}

// NATSReconnected counts a reconnect to NATS.
func (m *Metrics) NATSReconnected() {
	if m != nil {
		m.events.natsReconnects.Inc()
	}
}

// LoadReport counts a load report that was sent or received.
func (m *Metrics) LoadReport(outcome string) {
	if m != nil {
		m.events.loadReports.value(outcome).Inc()
	}
}

// SetLoad sets what this server last told the cluster of its load.
func (m *Metrics) SetLoad(cpu float64, memory uint64, inFlight int) {
	if m != nil {
		m.events.loadCPU.Set(cpu)
		m.events.loadMemory.Set(float64(memory))
		m.events.loadInFlight.Set(float64(inFlight))
	}
}

// SetServers sets the number of servers of a type in the view.
func (m *Metrics) SetServers(serverType string, n int) {
	if m != nil {
		m.events.servers.value(serverType).Set(float64(n))
	}
}

// SDRelisted counts a full listing of etcd.
func (m *Metrics) SDRelisted() {
	if m != nil {
		m.events.sdRelists.Inc()
	}
}

// SDLeaseLost counts a lost lease.
func (m *Metrics) SDLeaseLost() {
	if m != nil {
		m.events.sdLeaseLosses.Inc()
	}
}

// SDBadEntry counts an entry in etcd that is skipped.
func (m *Metrics) SDBadEntry() {
	if m != nil {
		m.events.sdBadEntries.Inc()
	}
}
