package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// How a connection to NATS behaves (faults.md, Limits): a server that hangs is
// noticed within 3 s, one that is back within 1 s.
const (
	natsPing          = time.Second
	natsPings         = 2
	natsFlusher       = time.Second
	natsReconnect     = 100 * time.Millisecond
	natsComplaint     = 5 * time.Second // between two warnings that NATS cannot be reached
	natsJitter        = 400 * time.Millisecond
	natsFlushTimeout  = time.Second
	natsCloseTimeout  = 3 * time.Second
	natsRebuildWithin = 30 * time.Second
)

var (
	errNATSBoot    = errors.New("the boot timeout is over")
	errNATSRebuild = errors.New("the time to make a closed connection anew is over")
)

// natsLink is one connection of nats.go, with all the sockets that it opens one
// after the other. nats.go tells of a break later and from a goroutine of its
// own; the link knows at once, because it made the socket.
type natsLink struct {
	t  *NATSTransport
	nc *nats.Conn

	dialed  atomic.Uint64              // sockets opened so far; the number of the last one
	socket  atomic.Pointer[natsSocket] // the last one
	broken  atomic.Uint64              // the highest number of a socket that broke
	closed  chan struct{}              // closed by nats.go's closed callback
	ending  atomic.Bool                // closed by us
	leaving atomic.Bool                // the NATS node asked its clients to go

	shared     chan *nats.Msg // of the deliverShared subscriptions, made with the first
	sharedOnce sync.Once
	pumping    atomic.Bool
	passed     chan struct{} // a barrier came through shared
}

// connectRetrying makes a link, trying until ctx ends.
func (t *NATSTransport) connectRetrying(ctx context.Context) (*natsLink, error) {
	var told time.Time
	for {
		link, err := t.connect(ctx, t.urls.dial(nil))
		if err == nil {
			return link, nil
		}
		if told.IsZero() || time.Since(told) >= natsComplaint {
			told = time.Now()
			t.log.WithError(err).WithField("url", t.urls.String()).Warn("cannot connect to nats, trying again")
		}
		if !pause(ctx, natsReconnect+randomUpTo(natsJitter)) {
			return nil, fmt.Errorf("cannot connect to NATS at %s: %w (%w): check that it runs and that the address and credentials are right",
				t.urls, err, context.Cause(ctx))
		}
	}
}

// connect makes a link to one of urls.
func (t *NATSTransport) connect(ctx context.Context, urls string) (*natsLink, error) {
	link := &natsLink{t: t, closed: make(chan struct{}), passed: make(chan struct{}, 1)}
	dialer := &natsDialer{link: link, boot: ctx}
	options := append([]nats.Option{
		nats.Name(t.params.Name),
		nats.Timeout(t.params.DialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(natsReconnect),
		nats.ReconnectJitter(natsJitter, natsJitter),
		nats.ReconnectBufSize(-1), // nothing is kept for later
		nats.PingInterval(natsPing),
		nats.MaxPingsOutstanding(natsPings),
		nats.FlusherTimeout(natsFlusher),
		nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(),
		nats.SkipSubjectValidation(), // checkSubject did it
	}, t.params.Options...)
	options = append(options,
		nats.SetCustomDialer(dialer),
		nats.ReconnectHandler(func(*nats.Conn) { t.events.push(natsEvent{kind: linkUp, link: link}) }),
		nats.LameDuckModeHandler(link.onLameDuck),
		nats.ClosedHandler(link.onClosed),
		nats.ErrorHandler(link.onError),
	)
	nc, err := nats.Connect(urls, options...)
	if err != nil {
		return nil, t.urls.redact(err)
	}
	dialer.booted.Store(true)
	link.nc = nc
	return link, nil
}

// onLameDuck notes it at once: the event of a link that is being moved to is
// not heard, but move looks again when that is done.
func (l *natsLink) onLameDuck(*nats.Conn) {
	l.leaving.Store(true)
	l.t.events.push(natsEvent{kind: linkLeaving, link: l})
}

func (l *natsLink) onClosed(*nats.Conn) {
	close(l.closed)
	if !l.ending.Load() {
		l.t.events.push(natsEvent{kind: linkClosed, link: l})
	}
}

func (l *natsLink) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub != nil && errors.Is(err, nats.ErrSlowConsumer) {
		l.t.metrics.CountRPC(EventDropped)
	}
	l.t.log.WithError(l.t.urls.redact(err)).Warn("nats error")
}

// flush waits until the NATS server has taken everything that was published.
func (l *natsLink) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsFlushTimeout)
	defer cancel()
	return l.nc.FlushWithContext(ctx)
}

// close ends the link and waits until nats.go has let go of it.
func (l *natsLink) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, natsCloseTimeout)
	defer cancel()
	l.ending.Store(true)
	l.nc.Close()
	select {
	case <-l.closed:
	case <-ctx.Done():
	}
}

// barrier waits until every subscription has delivered what the link had
// received, or ctx ends. There is one at a time.
func (l *natsLink) barrier(ctx context.Context) error {
	reached := make(chan struct{}, 1)
	if err := l.nc.Barrier(func() { reached <- struct{}{} }); err != nil {
		return err
	}
	if err := receive(ctx, reached); err != nil || !l.pumping.Load() {
		return err
	}
	select {
	case l.shared <- new(nats.Msg): // without a Sub
		return receive(ctx, l.passed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func receive(ctx context.Context, from <-chan struct{}) error {
	select {
	case <-from:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// natsDialer opens the sockets of a link.
type natsDialer struct {
	link   *natsLink
	boot   context.Context // ends the first connect; later ones end with the link
	booted atomic.Bool
}

// Dial implements nats.CustomDialer.
func (d *natsDialer) Dial(network, address string) (net.Conn, error) {
	ctx := d.link.t.work.Context()
	if !d.booted.Load() {
		ctx = d.boot
	}
	ctx, cancel := context.WithTimeout(ctx, d.link.t.params.DialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	socket := newNATSSocket(conn, d.link)
	d.link.socket.Store(socket)
	return socket, nil
}
