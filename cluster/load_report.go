package cluster

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ lifecycle.Module = (*LoadReporter)(nil)
	_ Listener         = (*LoadReporter)(nil)
)

// LoadParams is what NewLoadReporter needs.
type LoadParams struct {
	Self      *Server          // which tells its load; it has a nonce
	Transport Transport        // of the RPCServer: who is heard on it can be called
	Prefix    string           // of every subject, with its slash
	Discovery ServiceDiscovery // says whose reports count
	// Interval is the time between reports, at most an hour. At 0 this server
	// tells nothing; it hears the others all the same. Everybody hears everybody, so
	// where that were more than 200 reports a second it is longer: 5 s with 1,000 servers.
	Interval time.Duration
	Sessions func() int // nil, or while it panics: 0
	InFlight func() int // the same
	// Values are the application's; nil: none. It is called once per interval and
	// must not block. A value that is no finite number, has no valid name, or is
	// beyond MaxLoadValues is left out; a panic leaves all of them out.
	Values func() map[string]float64
	// Heard is called for every report that counts, other than this server's own.
	// It must not block; nil: nobody wants to know.
	Heard   func(id string)
	Log     logrus.FieldLogger // nil: nothing is logged
	Metrics LoadMetrics        // nil: nothing is counted
}

// LoadReporter tells the cluster this server's load and hears that of the
// others, on NATS and on a subject of our own; etcd is never written. It is a
// lifecycle.Module and, by itself, a listener of LoadParams.Discovery.
//
// The first report goes out as soon as discovery shows this server, and the
// next ones at a phase of its own, so that the servers of a cluster do not all
// speak at once.
type LoadReporter struct {
	p       LoadParams
	subject string
	loads   *Loads
	sampler *loadSampler // of the reporting goroutine
	buffers bufferPool

	registered chan struct{} // has one when this server came into the view
	group      *lifecycle.Group
	cancel     cancelFunc
}

// NewLoadReporter returns a reporter that does nothing before Init.
func NewLoadReporter(p LoadParams) *LoadReporter {
	p.Log = orDiscard(p.Log)
	p.Interval = min(p.Interval, maxLoadInterval)
	if p.Metrics == nil {
		p.Metrics = noLoadMetrics{}
	}
	r := &LoadReporter{
		p: p, subject: subjects{p.Prefix}.load(), loads: newLoads(), sampler: newLoadSampler(),
		registered: make(chan struct{}, 1),
	}
	p.Discovery.AddListener(r)
	return r
}

// Loads is what was heard.
func (r *LoadReporter) Loads() *Loads { return r.loads }

// Name implements lifecycle.Module.
func (r *LoadReporter) Name() string { return "load reporter" }

// Init listens and gets ready to report. Transport and discovery must be up.
func (r *LoadReporter) Init(context.Context) error {
	cancel, err := r.p.Transport.subscribe(subscription{subject: r.subject, deliver: r.hear})
	if err != nil {
		return err
	}
	r.cancel = cancel
	r.group = lifecycle.NewGroup(context.Background())
	if r.p.Interval > 0 {
		r.group.Go("load report", r.run)
	}
	return nil
}

// AfterInit implements lifecycle.Module.
func (r *LoadReporter) AfterInit(context.Context) error { return nil }

// BeforeShutdown implements lifecycle.Module: discovery's makes this server
// leave, which ends its reports.
func (r *LoadReporter) BeforeShutdown(context.Context) {}

// Shutdown stops reporting and listening.
func (r *LoadReporter) Shutdown(ctx context.Context) error {
	err := r.group.Stop(ctx)
	if failed := r.cancel(ctx); err == nil {
		err = failed
	}
	return err
}

// AddServer implements Listener: this server is in the cluster, so its reports count.
func (r *LoadReporter) AddServer(e Event) {
	if s := e.Server; s.ID != r.p.Self.ID || s.Nonce != r.p.Self.Nonce {
		return
	}
	signal(r.registered)
}

// RemoveServer implements Listener: a server that is gone has no load.
func (r *LoadReporter) RemoveServer(e Event) { r.loads.forget(e.Server.ID, e.Server.Nonce) }

// run reports until ctx ends, also after a function of the application's ended
// its goroutine (runtime.Goexit).
func (r *LoadReporter) run(ctx context.Context) {
	over := false
	defer func() {
		if !over {
			r.group.Go("load report", r.run)
		}
	}()
	r.reportAtIntervals(ctx)
	over = true
}

func (r *LoadReporter) reportAtIntervals(ctx context.Context) {
	next := time.NewTimer(r.p.Interval)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.registered:
			next.Reset(rand.N(r.pace()))
		case <-next.C:
			next.Reset(r.pace())
		}
		r.report()
	}
}

// pace is the time between this server's reports in a cluster of the size that it
// is of now.
func (r *LoadReporter) pace() time.Duration {
	crowd := time.Second / maxLoadsHeard * time.Duration(len(r.p.Discovery.Servers()))
	return min(max(r.p.Interval, crowd), maxLoadInterval)
}

// report tells this server's load, unless nobody would believe it.
func (r *LoadReporter) report() {
	self := r.p.Self
	told := loadReport{id: self.ID, serverType: self.Type, nonce: self.Nonce, interval: r.pace()}
	if !r.known(&told) {
		return
	}
	told.load = r.measure()
	r.keep(&told)
	r.p.Metrics.SetLoad(told.load)
	body, err := r.buffers.encode(told.message())
	if err == nil {
		err = r.p.Transport.publish(outgoing{subject: r.subject, body: body})
	}
	if err != nil {
		r.p.Metrics.CountLoad(LoadUnsent)
		return
	}
	r.p.Metrics.CountLoad(LoadSent)
}

func (r *LoadReporter) measure() Load {
	load := r.sampler.measure()
	r.guard("values", func() {
		if r.p.Values != nil {
			load.Values = reportable(r.p.Values())
		}
	})
	r.guard("sessions", func() {
		if r.p.Sessions != nil {
			load.Sessions = max(r.p.Sessions(), 0)
		}
	})
	r.guard("in flight", func() {
		if r.p.InFlight != nil {
			load.InFlight = max(r.p.InFlight(), 0)
		}
	})
	return load
}

// hear takes what somebody published as a report.
func (r *LoadReporter) hear(m message) {
	told, err := decodeLoad(m.data)
	switch {
	case err != nil:
		r.p.Metrics.CountLoad(LoadMalformed)
	case told.id == r.p.Self.ID && told.nonce == r.p.Self.Nonce: // its own, kept when it was sent
	case !r.known(told) || !r.keep(told):
		r.p.Metrics.CountLoad(LoadUnknown)
	default:
		r.p.Metrics.CountLoad(LoadHeard)
		r.guard("heard", func() {
			if r.p.Heard != nil {
				r.p.Heard(told.id)
			}
		})
	}
}

// known reports whether the server that a report names is in the cluster, in
// the run that the report names.
func (r *LoadReporter) known(told *loadReport) bool {
	s, ok := r.p.Discovery.Server(told.id)
	return ok && present(s) && s.Cereus() && s.Nonce == told.nonce && s.Type == told.serverType
}

// keep stores a report of a server that was known. It reports false when the
// server went meanwhile: RemoveServer, which comes after the view's change, may
// then have come before the report was stored.
func (r *LoadReporter) keep(told *loadReport) bool {
	r.loads.store(told.id, &heardLoad{load: told.load, nonce: told.nonce, at: time.Now(), interval: told.interval})
	if r.known(told) {
		return true
	}
	r.loads.forget(told.id, told.nonce)
	return false
}

// guard calls user code.
func (r *LoadReporter) guard(what string, call func()) {
	defer func() {
		if cause := recover(); cause != nil {
			r.p.Log.WithField("what", what).WithField("panic", cause).WithField("stack", string(debug.Stack())).
				Error("a function of load reports panicked")
		}
	}()
	call()
}
