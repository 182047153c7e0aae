package client

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/serializer"
)

// Client is one connection to a frontend. Its methods may be called from any
// goroutine, but Close not from a callback.
type Client struct {
	log        logrus.FieldLogger
	transport  transport
	serializer serializer.Serializer // nil when the server's is unknown here
	codec      string                // name of the server's serializer
	dictionary *protocol.Dictionary
	inflated   int // limit of an inflated payload
	heartbeat  time.Duration
	timeout    time.Duration

	calls   *callTable
	queue   *writeQueue
	waiters sync.Pool // of *waiter
	pushes  pushFeed
	alive   atomic.Int64 // when the last packet came, or busy
	kick    atomic.Pointer[kick]

	group  *lifecycle.Group
	cancel context.CancelFunc
	ending sync.Once
	reason atomic.Pointer[CloseError]
	done   chan struct{}
	// written is closed when the writer has ended.
	written chan struct{}
}

// Dial connects to a frontend and does the handshake. addr is host:port,
// tcp://host:port, tls://host:port, ws://host:port/path or wss://host:port/path.
// ctx bounds the connection and the handshake; without a deadline they may take
// DefaultDialTimeout. It does not bound the life of the client: use Close.
//
// A server that refuses the handshake gives a *HandshakeError, one that closes the
// WebSocket instead, as one that is paused, a *CloseError.
func Dial(ctx context.Context, addr string, opts ...Option) (*Client, error) {
	s := newSettings(opts)
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultDialTimeout)
		defer cancel()
	}
	t, err := connect(ctx, addr, s)
	if err != nil {
		return nil, err
	}
	first, err := shakeHands(ctx, t, s)
	if err != nil {
		t.abort()
		return nil, dialFailed(ctx, addr, err)
	}
	return start(t, s, first), nil
}

// start makes a running client of a connection that has seen its handshake.
func start(t transport, s *settings, first *opening) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		log: s.log, transport: t, codec: first.response.Serializer,
		serializer: s.pick(first.response.Serializer), dictionary: first.response.Dictionary,
		inflated: s.maxPacket, heartbeat: sensible(first.response.Heartbeat), timeout: s.timeout,
		calls: newCallTable(), queue: newWriteQueue(),
		group: lifecycle.NewGroup(ctx), cancel: cancel, done: make(chan struct{}), written: make(chan struct{}),
	}
	c.waiters.New = func() any { return newWaiter() }
	c.alive.Store(now())
	c.group.Go("client.reader", func(context.Context) { c.read(first.early) })
	c.group.Go("client.writer", c.write)
	c.group.Go("client.keeper", c.keep)
	return c
}

// RemoteAddr is the address of the server, after name resolution.
func (c *Client) RemoteAddr() net.Addr { return c.transport.remoteAddr() }

// Serializer is the name of the serializer that the server announced, such as
// "json" or "protobuf".
func (c *Client) Serializer() string { return c.codec }

// Heartbeat is the interval that the server announced, 0 for none; one below
// 10 ms counts as 10 ms, one above a day as a day.
func (c *Client) Heartbeat() time.Duration { return c.heartbeat }

// Dictionary is the route dictionary that the server announced; it may be nil.
func (c *Client) Dictionary() *protocol.Dictionary { return c.dictionary }
