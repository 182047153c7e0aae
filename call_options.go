package cereus

import (
	"time"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
)

// CallOption is one choice made for a call.
type CallOption interface{ applyCall(c *callOptions) }

type callOptions struct {
	places     int // how many options say where it goes
	serverID   string
	key        string
	leader     bool
	idempotent bool
	timeout    time.Duration
	quorum     *int // nil: all are waited for
	fault      *errs.Error
}

type callOptionFunc func(c *callOptions)

func (f callOptionFunc) applyCall(c *callOptions) { f(c) }

// To calls the server with the given id instead of letting the router pick one.
// An id that discovery does not know is errs.ErrServerNotFound.
func To(serverID string) CallOption {
	return callOptionFunc(func(c *callOptions) {
		c.serverID = serverID
		c.place("To", serverID)
	})
}

// WithKey has calls with the same key, such as the name of a match, go to the
// same server, whatever the router of the type is, as long as that server may be
// given work. When servers come and go, only the keys of those that went, and
// the share of those that came, move (router.Rendezvous).
func WithKey(key string) CallOption {
	return callOptionFunc(func(c *callOptions) {
		c.key = key
		c.place("WithKey", key)
	})
}

// ToLeader calls the leader of the route's type (App.Discovery), whoever that is
// when the call is sent. While there is none, or it is not reached, the error is
// Unavailable; nobody else is asked.
func ToLeader() CallOption {
	return callOptionFunc(func(c *callOptions) {
		c.leader = true
		c.places++
	})
}

func (c *callOptions) place(option, name string) {
	c.places++
	if name == "" {
		c.fault = errs.New(errs.CodeBadRequest, "a call option was given an empty text: name the place, or leave the option out").
			With("option", option)
	}
}

// Idempotent says that the remote may run more than once: a call that may have
// run (its server died, the connection broke, or there was no answer in time) is
// then sent to another server of the type. So that there is time for that, each
// server but the last has half of what is left. It changes nothing for calls
// that have no other server to go to: with To, ToLeader, and of all servers.
func Idempotent() CallOption {
	return callOptionFunc(func(c *callOptions) { c.idempotent = true })
}

// WithTimeout bounds the call. The earliest of this, the deadline of ctx and
// cluster.rpc.client.nats.requesttimeout holds. 0 and less bound nothing.
func WithTimeout(d time.Duration) CallOption {
	return callOptionFunc(func(c *callOptions) { c.timeout = d })
}

// Quorum has CallAll return as soon as n servers, at least 1, answered without an
// error, or so many failed that n cannot any more.
func Quorum(n int) CallOption {
	return callOptionFunc(func(c *callOptions) { c.quorum = &n })
}

// What options cannot be asked for together.
var (
	errPlaces = errs.New(errs.CodeBadRequest, "a call goes to one place: give one of To, WithKey and ToLeader")
	errQuorum = errs.New(errs.CodeBadRequest, "Quorum is for CallAll: leave it out here")
	errPlaced = errs.New(errs.CodeBadRequest, "a call of all servers has no other place: leave To, WithKey and ToLeader out")
	errNone   = errs.New(errs.CodeBadRequest, "a quorum is of at least 1 server: leave Quorum out to wait for all")
)

// gather reads the options of a call of one server.
func gather(opts []CallOption) (callOptions, error) {
	o := apply(opts)
	switch {
	case o.fault != nil:
		return o, o.fault
	case o.places > 1:
		return o, errPlaces
	case o.quorum != nil:
		return o, errQuorum
	}
	return o, nil
}

// gatherAll reads the options of a call of all servers of a type.
func gatherAll(opts []CallOption) (callOptions, error) {
	o := apply(opts)
	switch {
	case o.places > 0:
		return o, errPlaced
	case o.quorum != nil && *o.quorum < 1:
		return o, errNone
	}
	return o, nil
}

func apply(opts []CallOption) (o callOptions) {
	for _, opt := range opts {
		opt.applyCall(&o)
	}
	return o
}

// outgoing is the call that the options describe.
func (c *callOptions) outgoing(route string, oneWay bool) dispatch.OutgoingCall {
	return dispatch.OutgoingCall{
		Route: route, ServerID: c.serverID, Key: c.key, Leader: c.leader, Idempotent: c.idempotent, OneWay: oneWay,
	}
}
