package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/ratelimit"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// Validator refuses a client by its handshake; the client is told nothing but
// that it was refused (wire.md 2.3).
type Validator func(ctx context.Context, h *protocol.HandshakeRequest) error

// HostParams are what the agents of a frontend have in common.
type HostParams struct {
	Self             *cluster.Server
	Dispatcher       *dispatch.Dispatcher
	Pool             *session.Pool
	Serializer       serializer.Serializer
	Encoding         protocol.Encoding
	Decoding         protocol.Decoding
	Heartbeat        time.Duration
	HandshakeTimeout time.Duration
	WriteTimeout     time.Duration
	QueueMessages    int
	QueueBytes       int
	Validators       map[string]Validator
	Rate             ratelimit.Rate // of the messages of one connection
	UserRate         ratelimit.Rate // of those of all connections of a user together
	AddressRate      ratelimit.Rate // of those of all connections from an address together
	// Fenced reports that no new players are taken for now; nil: they always are.
	Fenced func() bool
	// Lenient accepts an ack without a handshake and a second handshake, as Pitaya does.
	Lenient Leniency
	Log     logrus.FieldLogger
	Metrics *metrics.Metrics
}

// Leniency says how closely the handshake's order is kept.
type Leniency int

// Strict closes on a packet out of order; AsPitaya does what wire.md 2.1 records.
const (
	Strict Leniency = iota
	AsPitaya
)

// lastWords is how long a client that was refused may take to read why.
const lastWords = time.Second

// drainTime is how long answers may take for a client that sends no more.
const drainTime = 5 * time.Second

// Host serves the connections of a frontend. It is a lifecycle.Module.
type Host struct {
	HostParams
	group     *lifecycle.Group
	wheel     *wheel
	greeters  *lifecycle.Workers[*greeting]
	writers   *lifecycle.Workers[*writeQueue]
	gather    []gatherer // as many as processors
	gathering *lifecycle.Workers[*gatherer]
	limiters  limiters
	clock     time.Time
	accepted  []byte // whole packets
	refused   []byte
}

// NewHost returns a host that serves nothing before Init.
func NewHost(p HostParams) *Host { return &Host{HostParams: p, clock: time.Now()} }

// Name says what the module is.
func (h *Host) Name() string { return "client connections" }

// Init makes ready to serve.
func (h *Host) Init(context.Context) error {
	var err error
	if h.accepted, err = h.handshakeResponse(protocol.HandshakeOK); err != nil {
		return err
	}
	if h.refused, err = h.handshakeResponse(protocol.HandshakeFailed); err != nil {
		return err
	}
	h.group = lifecycle.NewGroup(context.Background())
	h.greeters = lifecycle.NewWorkers(h.group, "handshake", func(_ context.Context, g *greeting) { h.readGreeting(g) })
	h.initWriters()
	h.initLimiters()
	h.wheel = newWheel(h.Heartbeat)
	h.group.Go("heartbeats", h.wheel.run)
	return nil
}

// AfterInit does nothing.
func (h *Host) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing.
func (h *Host) BeforeShutdown(context.Context) {}

// Shutdown ends the heartbeats, the writers and what reads handshakes. Connections are closed before, by Drain.
func (h *Host) Shutdown(ctx context.Context) error { return h.group.Stop(ctx) }

// Drain answers what was asked, as long as ctx allows, and closes every
// connection. Acceptors have to be closed before.
func (h *Host) Drain(ctx context.Context) {
	agents := h.agents()
	for _, a := range agents {
		a.stopReading()
	}
	for _, a := range agents {
		if !a.drain(ctx) {
			break // out of time: the rest is closed as it is
		}
	}
	for _, a := range agents {
		a.closeAfterWrites(protocol.ReasonShutdown)
	}
	h.wheel.closeAll(protocol.ReasonShutdown)
}

// agents are those of all players.
func (h *Host) agents() []*Agent {
	var all []*Agent
	h.Pool.Each(func(s *session.Session) bool {
		if a, ok := s.Entity().(*Agent); ok {
			all = append(all, a)
		}
		return true
	})
	return all
}

func (h *Host) handshakeResponse(code int) ([]byte, error) {
	body, err := protocol.AppendHandshakeResponse(nil, &protocol.HandshakeResponse{
		Code: code, Dictionary: h.Encoding.Dictionary, Heartbeat: h.Heartbeat, Serializer: h.Serializer.Name(),
	}, h.Encoding.CompressAbove)
	if err != nil {
		return nil, fmt.Errorf("handshake response: %w", err)
	}
	return protocol.AppendPacket(nil, protocol.PacketHandshake, body)
}

func (h *Host) now() time.Duration { return time.Since(h.clock) }

// Serve drives conn until it ends. It is the acceptor's handle.
func (h *Host) Serve(conn *acceptor.Conn) {
	a := &Agent{host: h, conn: conn}
	a.out.init(a)
	a.touch()
	h.Metrics.ConnectionOpened()
	if h.Fenced != nil && h.Fenced() {
		a.end(protocol.ReasonPaused)
		return
	}
	if !h.wheel.add(a) {
		a.end(protocol.ReasonShutdown)
		return
	}
	a.flow = h.newFlow(conn)
	defer a.flow.end()
	reason := protocol.ReasonInternal // unless the reader returns
	defer func() {
		a.end(reason)
		a.out.awaitClosed()
	}()
	reason = a.read()
}
