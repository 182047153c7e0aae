package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nuid"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/metrics"
	address "github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/session"
)

// Refusals with the reference's texts.
var (
	// ErrNoServerType: a call needs the type of the server to call.
	ErrNoServerType = errs.New(errs.CodeInternal,
		"no server type chosen for sending RPC, send a full route in the format server.service.component")
	errOnlySelf = errs.New(errs.CodeInternal,
		"you are making a rpc that may be processed locally, either specify a different server type or specify a server id")
	errStandalone = errs.New(errs.CodeUnavailable,
		"this app runs standalone: calls to other servers need cluster mode")
)

// Why there is no leader to call.
var (
	errNoLeader = errs.New(errs.CodeUnavailable,
		"the server type has no leader: try again when a server of it that can lead is registered")
	errLeaderGone = errs.New(errs.CodeUnavailable,
		"the leader of the server type is not reached: try again when there is another one")
	errOwnLeader = errs.New(errs.CodeUnavailable,
		"this server is the leader itself: do it here, or allow cluster.rpc.server.loopbackenabled")
)

// OutgoingCall is one call of a remote that the app makes. At most one of
// ServerID, Key and Leader is set.
type OutgoingCall struct {
	Route      string
	ServerID   string // "" lets the router pick
	Key        string // calls with the same key go to the same server
	Leader     bool   // to the leader of the type
	Idempotent bool   // it may run more than once
	OneWay     bool   // the callee's result is of no interest
	Payload    []byte
}

// RPC calls a remote and returns the bytes of its result. A call that certainly
// reached nobody goes to another server at once; one that may have run does so
// only when it is idempotent.
func (d *Dispatcher) RPC(ctx context.Context, c OutgoingCall) ([]byte, error) {
	if d.client == nil {
		return nil, errStandalone
	}
	parsed, err := address.Parse(c.Route)
	if err != nil {
		return nil, err
	}
	if parsed.ServerType == "" {
		return nil, ErrNoServerType
	}
	if c.ServerID == d.Self.ID && !d.Loopback {
		return nil, errOnlySelf
	}
	if c.ServerID != "" {
		to, ok := d.discovery.Server(c.ServerID)
		if !ok {
			return nil, errs.ErrServerNotFound
		}
		return d.call(ctx, to, c)
	}
	if c.Idempotent {
		return d.callAgain(ctx, parsed, c)
	}
	return d.callAny(ctx, parsed, c)
}

// callAny tries the servers of the type until one was there that took the call.
func (d *Dispatcher) callAny(ctx context.Context, to address.Route, c OutgoingCall) ([]byte, error) {
	return d.callUntried(ctx, to, c, nil, nil)
}

// callUntried is callAny without those that were tried; lost is what to tell
// when there is no other, nil as long as none turned the call down.
func (d *Dispatcher) callUntried(ctx context.Context, to address.Route, c OutgoingCall, tried []targetKey, lost error) ([]byte, error) {
	began := d.clock.now()
	for {
		server, err := d.choose(ctx, to, c, tried)
		if err != nil {
			return nil, cmp.Or(lost, err)
		}
		data, err := d.call(ctx, server, c)
		switch {
		case cluster.IsMoved(err):
			continue
		case cluster.IsGone(err):
			tried = append(tried, keyOf(server))
			d.Metrics.RPCFailover()
		case turnedDown(err) && lost == nil: // once: a crowd that goes from server to server helps none
			d.Metrics.RPCFailover()
			ctx, cancel := context.WithTimeout(ctx, d.Limits.Timeout-(d.clock.now()-began)) // it may have taken its time
			defer cancel()
			return d.callUntried(ctx, to, c, append(tried, keyOf(server)), err)
		default:
			return data, err
		}
	}
}

// turnedDown reports whether the callee did not begin with the call for a reason
// that another server may not have: it has too much to do, or stood still for a while.
func turnedDown(err error) bool {
	if !cluster.IsRefused(err) {
		return false
	}
	code := errs.CodeOf(err)
	return code == errs.CodeBusy || code == errs.CodeUnavailable
}

// choose picks a server that the call did not try.
func (d *Dispatcher) choose(ctx context.Context, to address.Route, c OutgoingCall, tried []targetKey) (*cluster.Server, error) {
	if c.Leader {
		return d.chooseLeader(to.ServerType, tried)
	}
	server, err := d.pick(ctx, routing(ctx, to, c), tried)
	if err != nil {
		return nil, d.nobody(to, err)
	}
	return server, nil
}

func (d *Dispatcher) chooseLeader(serverType string, tried []targetKey) (*cluster.Server, error) {
	if d.leaders == nil {
		return nil, errNoLeader.With("type", serverType)
	}
	view := d.leaders.Snapshot()
	leader, led := view.Leader(serverType)
	server, known := view.Server(leader.ID)
	switch {
	case !led || !known:
		return nil, errNoLeader.With("type", serverType)
	case leader.ID == d.Self.ID && !d.Loopback:
		return nil, errOwnLeader.With("type", serverType)
	case slices.Contains(tried, keyOf(server)):
		return nil, errLeaderGone.With("type", serverType).With("server", leader.ID)
	}
	return server, nil
}

func routing(ctx context.Context, to address.Route, c OutgoingCall) router.Call {
	call := router.Call{Route: to, ServerType: to.ServerType, Kind: router.ToRemote, Key: c.Key, Payload: c.Payload}
	if s, ok := session.FromContext(ctx); ok {
		call.Frontend, call.SessionID, call.UID, call.Build = s.Frontend(), s.ID(), s.UID(), buildOf(s)
	}
	return call
}

// nobody words the failure of a call whose only candidate is the caller.
func (d *Dispatcher) nobody(to address.Route, err error) error {
	if to.ServerType == d.Self.Type && errors.Is(err, errs.ErrNoServer) {
		return errOnlySelf
	}
	return err
}

// callOne calls route on one server, whatever its type.
func (d *Dispatcher) callOne(ctx context.Context, to *cluster.Server, route string, payload []byte) ([]byte, error) {
	if d.client == nil {
		return nil, errStandalone
	}
	return d.call(ctx, to, OutgoingCall{Route: route, Payload: payload})
}

func (d *Dispatcher) call(ctx context.Context, to *cluster.Server, c OutgoingCall) ([]byte, error) {
	if err := checkHops(ctx); err != nil {
		return nil, err
	}
	start, t := d.clock.now(), d.target(to)
	t.vitals.calls.Add(1)
	e, had := d.envelope(), d.timeLeft(ctx)
	resp, err := d.client.Call(ctx, to, d.request(ctx, e, to, c, had))
	d.putEnvelope(e)
	d.timers(c.Route, err).Answered(metrics.KindRPC, d.clock.now()-start, string(errs.CodeOf(err)))
	d.outcome(t, had, err)
	return resp.GetData(), err
}

// timeLeft is how long a call that is sent now is waited for.
func (d *Dispatcher) timeLeft(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(min(d.Limits.Timeout, time.Until(deadline)), leastTime)
	}
	return d.Limits.Timeout
}

// request is wire.md 9.1 for a user RPC, in the context of the call that ctx serves.
func (d *Dispatcher) request(ctx context.Context, e *envelope, to *cluster.Server, c OutgoingCall, timeout time.Duration) *clusterpb.Request {
	meta, route := inherited(ctx)
	e.msg.Route, e.msg.Data = c.Route, c.Payload
	if c.OneWay {
		e.msg.Type = clusterpb.MsgType_MsgNotify
	}
	req := e.seal(&meta, hop{
		peerID: d.Self.ID, peerType: d.Self.Type, route: route, timeout: timeout,
	})
	req.Type = clusterpb.RPCType_User
	if d.Self.Frontend {
		req.FrontendID = d.Self.ID
	}
	if to.Has(constants.CapOrder) {
		req.RemainingUs = timeout.Microseconds()
	}
	return req
}

// inherited is the metadata that a call made in ctx passes on.
func inherited(ctx context.Context) (metadata, string) {
	c := FromContext(ctx)
	if c == nil {
		return newMetadata(time.Now()), ""
	}
	meta := *c.facts()
	if meta.requestID == "" {
		meta.requestID, meta.startTime, meta.began = nuid.Next(), "", time.Now().UnixNano()
	}
	return meta, c.Route
}

// EncodeArgument makes the payload of an RPC: protobuf messages as protobuf,
// bytes as they are, anything else by the app's serializer, nil as nothing.
func (d *Dispatcher) EncodeArgument(arg any) ([]byte, error) {
	switch v := arg.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case proto.Message:
		data, err := proto.Marshal(v)
		return data, badArgument(err)
	}
	data, err := d.Serializer.Marshal(arg)
	return data, badArgument(err)
}

func badArgument(err error) error {
	if err == nil {
		return nil
	}
	return errs.Wrap(errs.CodeBadRequest, fmt.Errorf("cannot encode the argument: %w", err))
}

// DecodeReply reads the payload of a reply into reply, by the same rules. A nil
// reply drops it.
func (d *Dispatcher) DecodeReply(data []byte, reply any) error {
	switch v := reply.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = data
		return nil
	case proto.Message:
		return badReply(proto.Unmarshal(data, v))
	}
	return badReply(d.Serializer.Unmarshal(data, reply))
}

func badReply(err error) error {
	if err == nil {
		return nil
	}
	return errs.Wrap(errs.CodeInternal, fmt.Errorf("cannot decode the reply: %w", err))
}
