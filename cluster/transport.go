package cluster

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cereus-game/cereus/errs"
)

// Transport carries the messages of an RPCClient and an RPCServer. It has
// NATSTransport and MemoryTransport as implementations and cannot have others
// outside this package. One value serves a client and a server together; it is
// a lifecycle.Module of its own and comes before them.
type Transport interface {
	// publish hands m over for sending and takes its body. An error means that
	// it was not and will not be sent; the body is then released already. What
	// the message's keeper took is no error.
	publish(m outgoing) error
	// subscribe delivers what is published on a subject from now on, also after
	// a reconnect, until it is cancelled.
	subscribe(s subscription) (cancelFunc, error)
	// watch tells w of connections until stop is called.
	watch(w connectionWatcher) (stop func())
	// flush waits until what was published and subscribed before has reached the
	// other side. It fails at once while there is no connection.
	flush(ctx context.Context) error
	// status is lock-free.
	status() transportStatus
}

// cancelFunc ends a subscription. It returns when everything that was received
// before has been delivered and nothing more will be, except with deliverShared,
// where it does not wait. When ctx ends first, the rest is dropped. It may be
// called more than once.
type cancelFunc func(ctx context.Context) error

// transportStatus is what a transport knows of its connection right now.
type transportStatus struct {
	// epoch rises with every connection that messages are sent on, from 1.
	epoch uint64
	// connected is false while nothing can be sent.
	connected bool
	// maxPayload is the largest body in bytes that can be sent.
	maxPayload int
}

// connectionWatcher hears of connections, one call at a time. Its methods must
// not block.
type connectionWatcher interface {
	// connectionLost: nothing sent in epoch will be answered any more.
	connectionLost(epoch uint64)
	// outstanding is how many messages sent in epoch wait for an answer; a
	// connection that was moved away from is kept open for them.
	outstanding(epoch uint64) int
}

// message is one that arrived. Its data belongs to the receiver.
type message struct {
	subject, reply string
	data           []byte
	// undelivered marks the answer of the transport itself: nobody subscribes
	// to the subject that was asked.
	undelivered bool
}

// outgoing is a message to be sent.
type outgoing struct {
	subject string
	reply   string // with a call, the beginning of the reply subject: the token follows
	body    *buffer
	// bundle, when not empty, is the subject of a bundle that the message may travel in.
	bundle string
	// bundled says that the message is a bundle; its token is that of its first call.
	bundled bool
	// lone says that its sender has nothing else under way, so that more to be
	// sent with it is not to be expected.
	lone bool
	// epoch, when not 0, is the only one that the message may be sent in.
	epoch uint64
	// call, when not nil, is told what becomes of the message with this token.
	call  sendTracker
	token uint64
	// keeper, when not nil, takes the message back when it was not, or may not
	// have been, sent because there was no connection.
	keeper *replyKeeper
	until  time.Duration // for the keeper
}

// release gives the body back after the message was sent or dropped.
func (m *outgoing) release() { m.body.release() }

// appendReply appends the reply subject.
func (m *outgoing) appendReply(dst []byte) []byte {
	dst = append(dst, m.reply...)
	if m.bundled {
		dst = append(dst, bundleMark...)
	}
	if m.call != nil {
		dst = strconv.AppendUint(dst, m.token, 36)
	}
	return dst
}

// appendToken appends what tells the message from others in its bundle.
func (m *outgoing) appendToken(dst []byte) []byte {
	if m.call != nil {
		return strconv.AppendUint(dst, m.token, 36)
	}
	return append(dst, m.subject[len(m.bundle)-len(bundleMark):]...) // a reply: both begin with the inbox
}

func (m *outgoing) replySubject() string {
	if m.call == nil {
		return m.reply
	}
	var room [64]byte
	return string(m.appendReply(room[:0]))
}

// refuse ends a message that was not accepted. Its sender learns err, unless it
// is kept for later.
func (m *outgoing) refuse(err error) error {
	if m.keeper.keep(m, err) {
		return nil
	}
	m.release()
	return err
}

// fail tells the sender that the message was certainly not sent.
func (m *outgoing) fail(err error) {
	if m.keeper.keep(m, err) {
		return
	}
	m.release()
	if m.call != nil {
		m.call.unsent(m.token, err)
	}
}

// unsure tells the sender that the connection changed in the middle of sending.
func (m *outgoing) unsure() {
	if m.keeper.keep(m, errNotConnected) {
		return // it may arrive twice
	}
	m.release()
	if m.call != nil {
		m.call.unsure(m.token)
	}
}

// sendTracker hears what a transport does with an accepted message. Its methods
// must not block.
type sendTracker interface {
	// sending comes right before the message is sent in epoch, in the bundle whose
	// first message has the token bundle. It is dropped when sending returns false.
	sending(token, epoch, bundle uint64) bool
	// unsent: the message was not and will not be sent.
	unsent(token uint64, err error)
	// unsure: the connection changed in the middle of sending.
	unsure(token uint64)
}

// subscription says what a transport shall deliver, and how.
type subscription struct {
	subject string
	deliver func(message)
	mode    deliveryMode
}

// deliveryMode is what a subscriber needs of its transport.
type deliveryMode int

const (
	// deliverInOrder delivers every message once, in the order of its sender,
	// one at a time.
	deliverInOrder deliveryMode = iota
	// deliverShared is deliverInOrder for one of a great many subscriptions:
	// all of them share one goroutine, and what does not fit into its queue of
	// sharedQueue messages is dropped and counted.
	deliverShared
	// deliverAny may deliver a message twice and from two goroutines at once
	// while the transport moves from one connection to the next.
	deliverAny
)

// sharedQueue bounds what waits for the subscriptions with deliverShared.
const sharedQueue = 1 << 15

// undeliveredError is an error of a call that certainly did not run.
type undeliveredError struct{ err *errs.Error }

func (e *undeliveredError) Error() string { return e.err.Error() }
func (e *undeliveredError) Unwrap() error { return e.err }

func undelivered(code errs.Code, message string) error {
	return &undeliveredError{errs.New(code, message)}
}

// Why a message was certainly not delivered.
var (
	errNotConnected = undelivered(errs.CodeUnavailable, "not connected to NATS: nothing was sent, try again")
	errQueueFull    = undelivered(errs.CodeUnavailable, "too much waits to be sent to NATS: nothing was sent, slow down and try again")
	errEpochOver    = undelivered(errs.CodeUnavailable, "the NATS connection changed before the message was sent, send it again")
	errNoResponders = undelivered(errs.CodeUnavailable, "the server is gone: nobody received the message, try another server")
	errStopped      = undelivered(errs.CodeUnavailable, "the server is shutting down: nothing was sent")
	errExpired      = undelivered(errs.CodeTimeout, "the deadline passed before the message was sent")
)

// errMaybe: the connection broke while a call was under way.
var errMaybe = errs.New(errs.CodeUnavailable,
	"the NATS connection broke during the call: it may have run").With("maybe", "true")

// IsUndelivered reports whether err says of a call or publication that it
// certainly reached no server, so that sending it elsewhere cannot run it twice.
func IsUndelivered(err error) bool {
	_, ok := errors.AsType[*undeliveredError](err)
	return ok && !isCancelled(err)
}

// IsMaybe reports whether err says of a call that it may or may not have run
// (metadata maybe=true), so that only an idempotent one may be sent again.
func IsMaybe(err error) bool {
	e, ok := errors.AsType[*errs.Error](err)
	return ok && e.Code == errs.CodeUnavailable && e.Metadata["maybe"] == "true"
}
