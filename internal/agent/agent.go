package agent

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// states of wire.md 2.1.
type state int32

const (
	stateStart state = iota
	stateHandshake
	stateWorking
)

// errState: a packet that the state of the connection does not allow.
var errState = errors.New("agent: packet not allowed in this state")

// errRefused: the handshake was answered with 400.
var errRefused = errors.New("agent: handshake refused")

// Agent drives one client connection and is the session's way to it.
type Agent struct {
	host   *Host
	conn   *acceptor.Conn
	player atomic.Pointer[player] // nil until the handshake
	out    writeQueue

	state   state                         // of the reading goroutine only
	burst   *burst                        // of the reading goroutine only; nil: nothing is undelivered
	flow    *flow                         // of the reading goroutine only; nil: not limited
	empties empties                       // of the reading goroutine only
	seen    atomic.Int64                  // when the last packet came, on the host's clock
	waiting atomic.Bool                   // the reader waits for room in the inbox
	stopped atomic.Bool                   // the reader takes nothing more
	halted  atomic.Pointer[chan struct{}] // closed when the reader stopped; nil unless asked to
	greeted atomic.Bool                   // the handshake is over
	ended   atomic.Bool
	beat    slotEntry
}

// player is what a connection becomes by its handshake.
type player struct {
	session *session.Session
	inbox   *dispatch.Inbox
}

// read takes packets until the connection ends, and says why it did.
func (a *Agent) read() string {
	if err := a.conn.SetReadDeadline(time.Now().Add(a.host.HandshakeTimeout)); err != nil {
		return protocol.ReasonBroken
	}
	a.conn.OnControl(a.out.addControl)
	for {
		kind, body, err := a.conn.Next()
		if err == nil {
			err = a.packet(kind, body)
		}
		if err == nil && a.conn.Pending() {
			continue // one read can bring many packets
		}
		if undelivered := a.deliver(); err == nil {
			err = undelivered
		}
		if err != nil {
			return a.readEnded(err)
		}
		a.touch()
	}
}

// sayLast writes what waits, tells the client that nothing follows, and takes
// what it still sends: a socket closed with unread bytes is reset, and a reset
// can take the last words from the client. A WebSocket has its close frame.
func (a *Agent) sayLast(reason string) {
	if a.webSocket() || !a.out.finish() {
		a.closeAfterWrites(reason)
		return
	}
	deadline := time.Now().Add(lastWords)
	if a.conn.CloseWrite() != nil || a.conn.SetReadDeadline(deadline) != nil {
		return
	}
	for time.Now().Before(deadline) {
		if _, _, err := a.conn.Next(); err != nil {
			return
		}
	}
}

func (a *Agent) webSocket() bool {
	t := a.conn.Transport()
	return t == acceptor.TransportWebSocket || t == acceptor.TransportWebSocketSecure
}

func (a *Agent) touch() { a.seen.Store(int64(a.host.now())) }

// readEnded says why the connection ends, after it waited for what was asked
// before the reading ended.
func (a *Agent) readEnded(err error) string {
	p := a.player.Load()
	switch {
	case errors.Is(err, errRefused):
		a.sayLast(protocol.ReasonHandshake)
		return protocol.ReasonHandshake
	case p != nil && a.stopped.Load():
		if halted := a.halted.Load(); halted != nil {
			close(*halted)
		}
		<-p.session.Context().Done() // Drain closes it
		return protocol.ReasonShutdown
	case p != nil && errors.Is(err, io.EOF):
		a.stopped.Store(true)
		ctx, cancel := context.WithTimeout(p.session.Context(), drainTime)
		defer cancel()
		if p.inbox.Drain(ctx) == nil {
			a.closeAfterWrites(protocol.ReasonLeft)
		}
		return protocol.ReasonLeft
	}
	reason := reasonOf(err)
	if why, ok := a.out.closedFor(); ok {
		reason = why // the reader heard of it before the session did
	} else if errors.Is(err, acceptor.ErrPeerClosed) || errors.Is(err, errFlood) {
		a.closeAfterWrites(reason) // a close frame is answered behind the rest, and a flood with errors
	}
	if reason == protocol.ReasonProtocol || errors.Is(err, acceptor.ErrSlow) || errors.Is(err, acceptor.ErrBudget) {
		a.host.Metrics.ProtocolError(kindOf(err))
	}
	return reason
}

// packet handles one packet by wire.md 2.1, with the order of the handshake kept.
func (a *Agent) packet(kind protocol.PacketType, body []byte) error {
	if kind == protocol.PacketData {
		if a.state != stateWorking {
			return errState
		}
		return a.data(body)
	}
	if err := a.empties.add(a.host.now()); err != nil {
		return err
	}
	switch kind {
	case protocol.PacketHandshake:
		if a.state != stateStart && a.host.Lenient != AsPitaya {
			return errState
		}
		return a.handshake(body)
	case protocol.PacketHandshakeAck:
		return a.acknowledge()
	}
	return nil // heartbeats show life by having come; a kick from a client means nothing
}

// handshake answers the client in one write (wire.md 2.3).
func (a *Agent) handshake(body []byte) error {
	h, err := a.host.greet(body)
	if err != nil {
		a.host.Log.WithError(err).WithField("remote", a.conn.RemoteAddr().String()).Debug("handshake refused")
		_ = a.out.addPacket(a.host.refused) // a client that is gone needs no refusal
		return errRefused
	}
	if err := a.open(h); err != nil {
		return err
	}
	a.state = stateHandshake
	return a.out.addPacket(a.host.accepted)
}

func (a *Agent) acknowledge() error {
	if a.state == stateStart {
		if a.host.Lenient != AsPitaya {
			return errState
		}
		if err := a.open(nil); err != nil {
			return err
		}
	}
	if a.state == stateWorking {
		return nil
	}
	a.state = stateWorking
	a.greeted.Store(true)
	a.conn.Established()
	err := a.conn.SetReadDeadline(time.Time{})
	if a.stopped.Load() { // stopReading may have set its deadline before this took it off
		err = a.interrupt()
	}
	return err
}

// open makes the session, once.
func (a *Agent) open(h *protocol.HandshakeRequest) error {
	if a.player.Load() != nil {
		return nil
	}
	data := []byte(`{"ipversion":"` + ipVersion(a.conn.RemoteAddr().String()) + `"}`)
	if h == nil {
		data = nil // the path without a handshake sets no key (wire.md 2.1)
	}
	s, err := session.New(session.Params{
		ID: a.host.Pool.NextID(), Frontend: a.host.Self.ID, Handshake: h,
		RemoteAddr: a.conn.RemoteAddr(), Certificate: a.conn.Certificate(), Data: data, Entity: a, Log: a.host.Log,
	})
	if err != nil {
		return err
	}
	a.player.Store(&player{session: s, inbox: a.host.Dispatcher.NewInbox(s, a)})
	return a.host.Pool.Add(s)
}

// ipVersion is wire.md 2.2: more than one colon makes an address ipv6.
func ipVersion(remote string) string {
	if strings.Count(remote, ":") > 1 {
		return "ipv6"
	}
	return "ipv4"
}

// data takes a message that deliver gives to the session's inbox.
func (a *Agent) data(body []byte) error {
	m, err := protocol.DecodeHead(body, a.host.Decoding)
	if err != nil {
		return err
	}
	if ok, err := a.admit(&m); !ok {
		return err
	}
	if m.Compressed { // only now: inflating is work
		if err := m.Inflate(a.host.Decoding); err != nil {
			return err
		}
	}
	if a.burst == nil {
		a.burst = bursts.Get().(*burst)
	}
	a.burst.add(&m)
	if len(a.burst.messages) >= mostInBurst {
		return a.deliver()
	}
	return nil
}

// deliver gives what was read to the session's inbox, and reads no further while
// that is full.
func (a *Agent) deliver() error {
	if a.burst == nil {
		return nil
	}
	a.waiting.Store(true)
	ok := a.player.Load().inbox.Offer(a.burst.messages)
	a.touch() // before waiting ends, or the wheel may see an old time and nobody waiting
	a.waiting.Store(false)
	a.burst.giveBack()
	a.burst = nil
	if !ok {
		return acceptor.ErrClosed
	}
	return nil
}

// end closes everything, once, and runs the hooks of the session.
func (a *Agent) end(reason string) {
	if p := a.player.Load(); p != nil {
		p.session.Close(reason)
		return
	}
	a.Close(reason)
}

// abort is end for those who cannot wait for hooks.
func (a *Agent) abort(reason string) {
	if !a.host.group.Go("close", func(context.Context) { a.end(reason) }) {
		a.end(reason)
	}
}
