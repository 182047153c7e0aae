package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
)

// EtcdClients shares one etcd client between all users of equal connections:
// the same set of endpoints, user, password, TLS and dial timeout. The zero value
// is ready. Its methods may be called from any goroutine.
type EtcdClients struct {
	mu   sync.Mutex // guards open, and users of what is in it
	open []*etcdClient
}

// Open returns a client for the connection and what gives it back, which is to
// be called once (more does nothing): with the last user the client is closed. No
// user may close the client itself. Open does I/O only when there is a user to log
// in, bounded by the dial timeout, and reads the TLS files; calls of the client
// wait for a connection until their context ends.
//
// A watcher or lease client that is to end with its user is made with
// clientv3.NewWatcher and clientv3.NewLease on the client.
func (c *EtcdClients) Open(conn EtcdConnection) (*clientv3.Client, func() error, error) {
	shared, release, err := c.acquire(context.Background(), conn)
	if err != nil {
		return nil, nil, err
	}
	return shared.Client, release, nil
}

// errCalledOff is why a client was not made whose first user did not wait for it.
var errCalledOff = errors.New("connecting to etcd was called off")

// acquire is Open for those who may redial. It returns when ctx ends.
func (c *EtcdClients) acquire(ctx context.Context, conn EtcdConnection) (*etcdClient, func() error, error) {
	if err := conn.validate(); err != nil {
		return nil, nil, err
	}
	for {
		shared, first := c.claim(conn.normal())
		if first {
			shared.connect(ctx)
		}
		release := sync.OnceValue(func() error { return c.release(shared) })
		err := shared.await(ctx)
		if err == nil {
			return shared, release, nil
		}
		err = errors.Join(err, release())
		if ctx.Err() != nil || !errors.Is(err, errCalledOff) { // by another, that is: then it is ours to make
			return nil, nil, err
		}
	}
}

// claim adds a user to the client of the connection. The first one connects it.
func (c *EtcdClients) claim(conn EtcdConnection) (shared *etcdClient, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// One that could not be made is not tried again by others: it is on its way out.
	at := slices.IndexFunc(c.open, func(o *etcdClient) bool { return o.conn.equal(conn) && !o.failed() })
	if at < 0 {
		shared = &etcdClient{conn: conn, users: 1, made: make(chan struct{})}
		c.open = append(c.open, shared)
		return shared, true
	}
	c.open[at].users++
	return c.open[at], false
}

func (c *EtcdClients) release(shared *etcdClient) error {
	if !c.leave(shared) {
		return nil
	}
	return shared.close()
}

// leave takes a user away and reports whether it was the last.
func (c *EtcdClients) leave(shared *etcdClient) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	shared.users--
	if shared.users > 0 {
		return false
	}
	c.open = slices.DeleteFunc(c.open, func(o *etcdClient) bool { return o == shared })
	return true
}

// etcdClient is a client of ours, whose connections can be replaced.
type etcdClient struct {
	conn  EtcdConnection
	users int // guarded by EtcdClients.mu

	made chan struct{} // closed when what follows is set
	*clientv3.Client
	err    error
	end    func() // ends what the client does
	dialer etcdDialer
	pace   redialPace
}

func (e *etcdClient) failed() bool {
	select {
	case <-e.made:
		return e.err != nil
	default:
		return false
	}
}

// await waits until the client is made.
func (e *etcdClient) await(ctx context.Context) error {
	select {
	case <-e.made:
	case <-ctx.Done():
		if !isClosed(e.made) {
			return context.Cause(ctx)
		}
	}
	return e.err
}

// connect makes the client, which outlives ctx.
func (e *etcdClient) connect(ctx context.Context) {
	defer close(e.made)
	life, end := context.WithCancel(context.Background())
	e.end = end
	stop := context.AfterFunc(ctx, end) // a login may take its time
	e.err = e.open(life)
	if !stop() {
		e.err = e.explain(fmt.Errorf("%w: %w", errCalledOff, context.Cause(ctx)))
	}
}

func (e *etcdClient) open(ctx context.Context) (err error) {
	options := []grpc.DialOption{
		grpc.WithContextDialer(e.dialer.dial),
		// gRPC alone would wait up to two minutes between attempts to connect.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: firstRedial, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRedial},
			MinConnectTimeout: e.conn.DialTimeout,
		}),
	}
	if e.conn.security() == encrypted {
		secure, err := e.conn.tlsConfig()
		if err != nil {
			return &tlsFault{err}
		}
		options = append(options, grpc.WithTransportCredentials(newWatchedCredentials(secure, &e.dialer.failure)))
	}
	e.Client, err = clientv3.New(clientv3.Config{
		Context:              ctx,
		Endpoints:            e.conn.Endpoints,
		DialTimeout:          e.conn.DialTimeout,
		DialKeepAliveTime:    dialKeepAliveTime,
		DialKeepAliveTimeout: dialKeepAliveTimeout,
		Username:             e.conn.Username,
		Password:             e.conn.Password,
		Logger:               zap.NewNop(), // what matters is logged by the users
		DialOptions:          options,      // they come after those that the client makes of Endpoints
	})
	return e.explain(err)
}

// explain adds to an error what is known about the connection.
func (e *etcdClient) explain(err error) error {
	return e.dialer.failure.explain(err, e.conn.security())
}

func (e *etcdClient) close() error {
	defer e.end()
	if e.Client == nil {
		return nil
	}
	if err := e.Client.Close(); !errors.Is(err, context.Canceled) { // how the client says that it closed
		return err
	}
	return nil
}

// redial closes the connections under gRPC, which makes new ones at once: the
// way out of a connection that swallows what is sent (fault E05). Soon after the
// last time it does nothing.
func (e *etcdClient) redial() {
	if !e.pace.allows(time.Now()) {
		return
	}
	e.dialer.drop()
	e.ActiveConnection().ResetConnectBackoff()
}

// tlsFault is an error of the TLS files, which trying again does not change.
type tlsFault struct{ cause error }

func (f *tlsFault) Error() string { return f.cause.Error() }
func (f *tlsFault) Unwrap() error { return f.cause }
