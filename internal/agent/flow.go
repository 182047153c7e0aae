package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/internal/ratelimit"
	"github.com/cereus-game/cereus/protocol"
)

// errFlood: the client went on sending beyond its rate.
var errFlood = errors.New("agent: too many messages")

// sweepInterval is how often users and addresses that left are looked for.
const sweepInterval = time.Second

// limiters are the limits that connections share.
type limiters struct {
	users     *ratelimit.Table[string]       // nil: no limit
	addresses *ratelimit.Table[netip.Prefix] // nil: no limit
}

func (h *Host) initLimiters() {
	if h.UserRate.Limits() {
		h.limiters.users = ratelimit.New[string](h.UserRate)
	}
	if h.AddressRate.Limits() {
		h.limiters.addresses = ratelimit.New[netip.Prefix](h.AddressRate)
	}
	if h.UserRate.Limits() || h.AddressRate.Limits() {
		h.group.Go("rate limits", h.limiters.run)
	}
}

// run forgets users and addresses that were quiet.
func (l *limiters) run(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.users != nil {
			l.users.Sweep()
		}
		if l.addresses != nil {
			l.addresses.Sweep()
		}
	}
}

// flow bounds the messages of one connection. Only its reader uses it.
type flow struct {
	host    *Host
	own     *rate.Limiter // nil: no limit, as for the others
	address *rate.Limiter
	network netip.Prefix
	user    *rate.Limiter
	uid     string // whose user is
	routes  map[*component.Method]*rate.Limiter
	beyond  int // more refused than allowed
}

// newFlow is nil when nothing is limited.
func (h *Host) newFlow(conn *acceptor.Conn) *flow {
	if !h.Rate.Limits() && !h.UserRate.Limits() && !h.AddressRate.Limits() && !h.Dispatcher.HasRates() {
		return nil
	}
	f := &flow{host: h}
	if h.Rate.Limits() {
		f.own = h.Rate.Bucket()
	}
	if h.limiters.addresses != nil {
		if network, ok := acceptor.Network(conn.RemoteAddr()); ok {
			f.network, f.address = network, h.limiters.addresses.Hold(network)
		}
	}
	return f
}

// end gives back what is shared; nil is fine.
func (f *flow) end() {
	if f == nil {
		return
	}
	if f.address != nil {
		f.host.limiters.addresses.Release(f.network)
	}
	f.dropUser()
}

func (f *flow) dropUser() {
	if f.user != nil {
		f.host.limiters.users.Release(f.uid)
		f.user, f.uid = nil, ""
	}
}

// allow reports whether the player may send m now. If not, patience is how many
// more may be refused than are allowed until the connection is closed, as it is
// of whoever stays above twice the rate.
func (f *flow) allow(p *player, m *protocol.Message) (ok bool, patience int) {
	now := time.Now()
	switch {
	case !take(f.own, now):
		return false, f.host.Rate.N
	case !take(f.address, now):
		return false, f.host.AddressRate.N
	case !take(f.userOf(p), now):
		return false, f.host.UserRate.N
	}
	if bucket, n := f.route(m); !take(bucket, now) {
		return false, n
	}
	f.beyond = max(f.beyond-1, 0)
	return true, 0
}

func take(bucket *rate.Limiter, now time.Time) bool { return bucket == nil || bucket.AllowN(now, 1) }

// userOf is the bucket of the user that the session is bound to now.
func (f *flow) userOf(p *player) *rate.Limiter {
	if f.host.limiters.users == nil {
		return nil
	}
	if uid := p.session.UID(); uid != f.uid {
		f.dropUser()
		if uid != "" {
			f.uid, f.user = uid, f.host.limiters.users.Hold(uid)
		}
	}
	return f.user
}

// route is the bucket of the handler that m is for, and how much it holds.
func (f *flow) route(m *protocol.Message) (*rate.Limiter, int) {
	method := f.host.Dispatcher.Rated(m.Route)
	if method == nil {
		return nil, 0
	}
	bucket := f.routes[method]
	if bucket == nil {
		if f.routes == nil {
			f.routes = make(map[*component.Method]*rate.Limiter, 1)
		}
		bucket = ratelimit.Rate(method.Rate).Bucket()
		f.routes[method] = bucket
	}
	return bucket, method.Rate.N
}

// mostEmpty is how many packets without a message one second may bring: a
// client needs one per heartbeat.
const mostEmpty = 256

// empties counts packets without a message.
type empties struct {
	since time.Duration // on the host's clock
	n     int
}

func (e *empties) add(now time.Duration) error {
	if now-e.since >= time.Second {
		e.since, e.n = now, 0
	}
	if e.n++; e.n > mostEmpty {
		return errFlood
	}
	return nil
}

// admit answers a message beyond a limit with an error, and closes on a flood.
func (a *Agent) admit(m *protocol.Message) (bool, error) {
	if a.flow == nil {
		return true, nil
	}
	ok, patience := a.flow.allow(a.player.Load(), m)
	if ok {
		return true, nil
	}
	a.host.Metrics.RateLimited()
	if a.flow.beyond++; a.flow.beyond > patience {
		return false, errFlood
	}
	if m.Type == protocol.MessageRequest && m.ID != 0 {
		a.Respond(m.ID, nil, dispatch.ErrTooFast, true)
	}
	return false, nil
}
