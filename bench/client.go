package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nuid"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
)

// client is an RPC client beside the one of the server's app, which has no form
// that does not wait.
type client struct {
	self      *cluster.Server
	transport *cluster.NATSTransport
	rpc       *cluster.RPCClient
	ids       *nuid.NUID
}

func (s *server) client(ctx context.Context) (*client, error) {
	self := &cluster.Server{ID: "bench-client", Type: typeCaller}
	transport, err := cluster.NewNATSTransport(cluster.NATSParams{URL: s.nats})
	if err != nil {
		return nil, err
	}
	if err := transport.Init(ctx); err != nil {
		return nil, err
	}
	c := &client{self: self, transport: transport, ids: nuid.New()}
	c.rpc = cluster.NewRPCClient(cluster.RPCClientParams{Self: self, Transport: transport, Prefix: s.prefix})
	return c, c.rpc.Init(ctx)
}

func (c *client) close(ctx context.Context) error {
	return errors.Join(c.rpc.Shutdown(ctx), c.transport.Shutdown(ctx))
}

// request is a call of the remote that App.RPC calls.
func (c *client) request(data []byte) *clusterpb.Request {
	return &clusterpb.Request{
		Type:        clusterpb.RPCType_User,
		Msg:         &clusterpb.Msg{Route: routeForward, Data: data},
		RemainingUs: patience.Microseconds(),
	}
}

// stamp makes the metadata of one call, as internal/dispatch does (wire.md 9.3).
func (c *client) stamp(req *clusterpb.Request) {
	b := append(req.GetMetadata()[:0], `{"`+constants.HopsKey+`":1,"`+constants.PeerIDKey+`":"`...)
	b = append(b, c.self.ID...)
	b = append(b, `","`+constants.PeerServiceKey+`":"`...)
	b = append(b, c.self.Type...)
	b = append(b, `","`+constants.StartTimeKey+`":`...)
	b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
	b = append(b, `,"`+constants.TimeoutKey+`":"`...)
	b = append(b, patience.String()...)
	b = append(b, `","`+constants.RequestIDKey+`":"`...)
	b = append(b, c.ids.Next()...)
	req.Metadata = append(b, `"}`...)
}
