package dispatch

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

func TestHopsAreRead(t *testing.T) {
	t.Parallel()
	for text, hops := range map[string]int{
		`{}`: 0, `{"cereus.hops":0}`: 0, `{"cereus.hops":7}`: 7, `{"cereus.hops":16}`: 16,
		`{"cereus.hops":17}`: 17, `{"cereus.hops":99999999999999999999}`: 17, `{"cereus.hops":1e999}`: 17,
		`{"cereus.hops":3.0}`: 3, `{"cereus.hops":-3}`: 0, `{"cereus.hops":"3"}`: 0, `{"cereus.hops":null}`: 0,
		`{"cereus.hops":[16]}`: 0, `{"cereus.hops":16,"mine":"x"}`: 16,
	} {
		m, err := parseMetadata([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, hops, m.hops, text)
		require.NotContains(t, m.others.values(), constants.HopsKey)
	}
}

func TestScanningMetadataAllocatesOnlyItsText(t *testing.T) {
	b := []byte(`{"cereus.hops":3,"peer.id":"c1","peer.service":"front","reqTimeout":"5s","request.id":"abc"}`)
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() { _, _ = parseMetadata(b) }))
}

// With more, a call from Pitaya (wire.md 9.3) goes beyond the 12 allocations that
// a callee is held to: the rest of it takes 9.
func TestMetadataOfPitayaAllocatesLittle(t *testing.T) {
	for name, text := range map[string]string{
		"v2":             `{"opentracing-span":{},"peer.id":"front-1","peer.service":"connector","req-route":"room.svc.echo","req-start-time":1795224876484874094,"reqTimeout":"1.5s","request.id":"ADv16xxyMpxlPX3EfhsKYI"}`,
		"v2, traced":     `{"opentracing-span":{"uber-trace-id":"3f\u002d:1:0:1"},"peer.id":"front-1","peer.service":"connector","req-start-time":1795224876484874200,"reqTimeout":"5s","request.id":"ADv16xxyMpxlPX3EfhsKYI"}`,
		"a float":        `{"peer.id":"front-1","req-start-time":1.7952248764848742e+18,"reqTimeout":"1m0s","request.id":"ADv16xxyMpxlPX3EfhsKYI"}`,
		"v3":             `{"otel-span":{"traceparent":"00-1-2-01"},"peer.id":"front-1","req-start-time":1795224876484874094,"reqTimeout":"5s","request.id":"ADv16xxyMpxlPX3EfhsKYI"}`,
		"a game's own":   `{"cereus.hops":2,"peer.id":"front-1","reqTimeout":"5s","request.id":"ADv16xxyMpxlPX3EfhsKYI","trail":["a",{"b":"c"}]}`,
		"with an accent": `{"cereus.hops":2,"peer.id":"front-1","reqTimeout":"5s","request.id":"ADv16xxyMpxlPX3EfhsKYI","größe":"ü"}`,
	} {
		b := []byte(text)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = parseMetadata(b) }), 3.0, name)
	}
}

// relay is a component whose remotes call the other server's remotes.
type relay struct {
	self atomic.Pointer[node]
	next string // route that "on" calls
	runs atomic.Int64
	took atomic.Int64 // nanoseconds, of the last nested call
}

func (r *relay) Routes(routes *component.Routes) {
	component.RemoteRaw(routes, "on", r.on)
	component.RemoteRaw(routes, "end", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
}

func (r *relay) on(ctx context.Context, b []byte) ([]byte, error) {
	r.runs.Add(1)
	begin := time.Now()
	data, err := r.self.Load().d.RPC(ctx, OutgoingCall{Route: r.next, Payload: b})
	r.took.Store(int64(time.Since(begin)))
	return data, err
}

// pair is two servers that call each other.
func pair(t *testing.T, remotes int, routes ...string) (a, b *node, relays [2]*relay) {
	w := newWorld(t)
	w.limits.Remotes, w.limits.Timeout = remotes, patience
	var nodes [2]*node
	for i, serverType := range []string{"a", "b"} {
		r := &relay{next: routes[i]}
		w.register = func(table *component.Table) error { return table.RegisterRemote(r, component.WithName("relay")) }
		relays[i], nodes[i] = r, w.start(serverType+"-1", serverType)
		r.self.Store(nodes[i])
	}
	nodes[0].sees(nodes[1])
	nodes[1].sees(nodes[0])
	return nodes[0], nodes[1], relays
}

// N15: A calls B calls A. With a single worker on each server the innermost
// call is refused at once instead of waiting for the outermost.
func TestN15_NestedCallsAtTheSmallestPool(t *testing.T) {
	t.Parallel()
	a, b, relays := pair(t, 1, "b.relay.on", "a.relay.end")
	// from the outside: A's own worker is free
	out, err := a.d.RPC(t.Context(), OutgoingCall{Route: "b.relay.on", Payload: []byte("x")})
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	// from inside: it is taken by the call that waits
	best := time.Hour
	for range 10 {
		_, err = b.d.RPC(t.Context(), OutgoingCall{Route: "a.relay.on", Payload: []byte("x")})
		require.Equal(t, errs.CodeBusy, errs.CodeOf(err))
		best = min(best, time.Duration(relays[1].took.Load()))
	}
	require.Less(t, best, 50*time.Millisecond)
}

// N15: routes that call each other for ever are stopped.
func TestN15_ALoopEnds(t *testing.T) {
	t.Parallel()
	a, _, relays := pair(t, 64, "b.relay.on", "a.relay.on")
	_, err := a.d.RPC(t.Context(), OutgoingCall{Route: "b.relay.on"})
	require.ErrorIs(t, err, errs.ErrTooManyHops)
	require.EqualValues(t, constants.MaxHops, relays[0].runs.Load()+relays[1].runs.Load())
}

// N15: a caller that does not count, or lies, is refused by the callee.
func TestN15_TheCalleeLooksToo(t *testing.T) {
	t.Parallel()
	_, _, front, room := frontSeesRoom(t)
	call := func(metadata string) error {
		_, err := front.ask(room, patience, &clusterpb.Request{
			Type: clusterpb.RPCType_User, Msg: &clusterpb.Msg{Route: "room.rem.echo"}, Metadata: []byte(metadata),
		})
		return err
	}
	require.NoError(t, call(`{"cereus.hops":16}`))
	require.ErrorIs(t, call(`{"cereus.hops":17}`), errs.ErrTooManyHops)
	require.True(t, strings.Contains(errs.ErrTooManyHops.Message, "16"), "the text tells another limit")
}
