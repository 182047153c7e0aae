package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Defaults of Health.
const (
	DefaultHealthInterval = 2 * time.Second
	DefaultHealthTimeout  = time.Second
	DefaultHealthFailures = 3
	DefaultHealthPasses   = 1
)

// HealthCheck is something that has to work for a server to be of use.
type HealthCheck struct {
	// Name is a constant that logs and errors show.
	Name string
	// Check returns nil when all is well, and returns when ctx ends. It is called
	// by one goroutine at a time; a panic counts as a failure.
	Check func(ctx context.Context) error
}

// CheckTCP is the check that address, as host:port, accepts connections.
func CheckTCP(address string) HealthCheck {
	return HealthCheck{Name: "tcp " + address, Check: func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}}
}

// CheckHTTP is the check that a GET of address, a URL, is answered with a status
// of 200 to 299. Its name is the URL without user, password and query, which may
// be secret.
func CheckHTTP(address string) HealthCheck {
	return HealthCheck{Name: "http " + shown(address), Check: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return errNoURL // its own error repeats the address
		}
		transport := &http.Transport{DisableKeepAlives: true} // a connection that is kept would prove less
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	}}
}

var errNoURL = errors.New("the address is not a URL that can be asked for")

// shown is what of a URL may be told.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Health takes a server out of the list while it is of no use: when a check
// fails Failures times in a row it deregisters, and when all have passed Passes
// times in a row it registers again. What fails at the start keeps it out from
// the start. Zero fields mean the DefaultHealth... constants.
type Health struct {
	Checks   []HealthCheck
	Interval time.Duration // between rounds
	Timeout  time.Duration // of one check
	Failures int
	Passes   int
}

func (h Health) withDefaults() Health {
	h.Interval = cmp.Or(h.Interval, DefaultHealthInterval)
	h.Timeout = cmp.Or(h.Timeout, DefaultHealthTimeout)
	h.Failures = cmp.Or(h.Failures, DefaultHealthFailures)
	h.Passes = cmp.Or(h.Passes, DefaultHealthPasses)
	return h
}

func (h Health) validate() error {
	var faults []error
	if h.Interval < 0 || h.Timeout < 0 || h.Failures < 0 || h.Passes < 0 {
		faults = append(faults, errors.New("health: interval, timeout, failures and passes must not be negative"))
	}
	for _, c := range h.Checks {
		if c.Name == "" || c.Check == nil {
			faults = append(faults, fmt.Errorf("health check %q: give it a name and a function", c.Name))
		}
	}
	return errors.Join(faults...)
}

// healthGate runs the checks and opens and shuts the way into the list.
type healthGate struct {
	health Health
	log    logrus.FieldLogger
	group  *lifecycle.Group
	set    func(ill bool)
	first  chan struct{} // closed when the first round is over
	fault  atomic.Pointer[error]
	busy   []atomic.Bool // a check of an earlier round has not returned

	// These belong to run.
	ill              bool
	failures, passes int
}

func newHealthGate(h Health, log logrus.FieldLogger, group *lifecycle.Group) *healthGate {
	return &healthGate{
		health: h, log: log, group: group, set: func(bool) {},
		first: make(chan struct{}), busy: make([]atomic.Bool, len(h.Checks)),
	}
}

// why is what fails, while the server is kept out of the list for it.
func (g *healthGate) why() error {
	if err := g.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (g *healthGate) run(ctx context.Context) {
	g.judge(g.round(ctx), 1) // at the start there is no doubt to give the benefit of
	close(g.first)
	for pause(ctx, around(g.health.Interval)) {
		g.judge(g.round(ctx), g.health.Failures)
	}
}

// judge draws the conclusion of a round; enough failures in a row shut the way.
func (g *healthGate) judge(err error, enough int) {
	if err != nil {
		g.failures, g.passes = g.failures+1, 0
	} else {
		g.failures, g.passes = 0, g.passes+1
	}
	switch {
	case err != nil && g.ill:
		g.fault.Store(&err)
	case err != nil && g.failures >= enough:
		g.ill = true
		g.fault.Store(&err)
		g.log.WithError(err).Warn("health checks fail, this server stays out of the list")
		g.set(true)
	case err == nil && g.ill && g.passes >= g.health.Passes:
		g.ill = false
		g.fault.Store(nil)
		g.log.Info("health checks pass, this server comes back to the list")
		g.set(false)
	}
}

// round runs every check once, at the same time, and joins what fails.
func (g *healthGate) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.health.Timeout)
	defer cancel()
	results := make(chan error, len(g.health.Checks))
	for n, check := range g.health.Checks {
		if !g.busy[n].CompareAndSwap(false, true) {
			results <- fmt.Errorf("%s: the check has not returned since an earlier round", check.Name)
			continue
		}
		g.group.Go("discovery.check", func(context.Context) {
			err := fmt.Errorf("%s: the check ended its goroutine", check.Name) // unless it returns
			defer func() {
				g.busy[n].Store(false) // first: the result may let the next round begin
				results <- err
			}()
			err = check.run(ctx)
		})
	}
	var faults []error
	for range g.health.Checks {
		select {
		case err := <-results:
			faults = append(faults, err)
		case <-ctx.Done():
			return errors.Join(append(faults, fmt.Errorf("a check took longer than %v", g.health.Timeout))...)
		}
	}
	return errors.Join(faults...)
}

func (c HealthCheck) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v", c.Name, p)
		}
	}()
	if err := c.Check(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}
