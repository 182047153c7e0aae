package cereus

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/metrics"
)

// RegisterLoad adds a value of the game's own, such as the number of matches
// that run, to the load that this server tells the cluster every
// cluster.load.interval; see App.Load. A name is 1 to 64 of A-Z a-z 0-9 _ . and
// -, and there are at most cluster.MaxLoadValues. value is called once per
// interval on a goroutine of load reports: it must not block. While it panics,
// or returns what is not a finite number, its value is left out. RegisterLoad
// must be called before Start.
func (a *App) RegisterLoad(name string, value func() float64) error {
	switch {
	case !cluster.ValidServerName(name): // the same alphabet and length
		return fmt.Errorf("load value %q: use 1 to 64 of A-Z a-z 0-9 _ . - as its name", name)
	case value == nil:
		return fmt.Errorf("RegisterLoad(%q, nil): pass a function", name)
	}
	return a.beforeStart(func() error { return a.loadValues.add(name, value) })
}

// Load is how busy the server with that id said it is, this one included. It
// reports false for a server that is not in the cluster, that does not tell its
// load, as Pitaya's do not, or that was not heard of for ten of its intervals;
// always when standalone. It takes no lock: routers may ask for every call.
func (a *App) Load(serverID string) (cluster.Load, bool) {
	if a.reporter == nil {
		return cluster.Load{}, false
	}
	load, _, ok := a.reporter.Loads().Of(serverID)
	return load, ok
}

// inFlight is how many handlers and remotes run or wait on this server.
func (a *App) inFlight() int { return a.dispatcher.InFlight() + a.server.Unanswered() }

// loadValues are the game's own values. It is complete before the one goroutine
// that reads it starts.
type loadValues struct {
	ask     map[string]func() float64
	failing map[string]bool // those left out the last time, which is logged once
	log     logrus.FieldLogger
	metrics *metrics.Metrics
}

func (v *loadValues) add(name string, value func() float64) error {
	if _, taken := v.ask[name]; taken {
		return fmt.Errorf("two load values are named %q", name)
	}
	if len(v.ask) == cluster.MaxLoadValues {
		return fmt.Errorf("load value %q: there are %d already, which is the most that a report holds", name, len(v.ask))
	}
	if v.ask == nil {
		v.ask, v.failing = make(map[string]func() float64), make(map[string]bool)
	}
	v.ask[name] = value
	return nil
}

// read asks for every value.
func (v *loadValues) read() map[string]float64 {
	if len(v.ask) == 0 {
		return nil
	}
	values := make(map[string]float64, len(v.ask))
	for name, ask := range v.ask {
		value, ok := v.readOne(name, ask)
		if ok {
			values[name] = value
		}
		v.failing[name] = !ok
	}
	return values
}

func (v *loadValues) readOne(name string, ask func() float64) (value float64, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			v.metrics.Panic("load value")
			v.complain(name, v.log.WithField("panic", p).WithField("stack", string(debug.Stack())))
		}
	}()
	value = ask()
	if math.IsNaN(value) || math.IsInf(value, 0) {
		v.complain(name, v.log.WithField("value", value))
		return 0, false
	}
	return value, true
}

func (v *loadValues) complain(name string, log logrus.FieldLogger) {
	if !v.failing[name] {
		log.WithField("name", name).Error("a load value failed; it is left out until it works again")
	}
}

// loadMeter counts load reports.
type loadMeter struct{ metrics *metrics.Metrics }

var _ cluster.LoadMetrics = loadMeter{}

func (m loadMeter) CountLoad(event cluster.LoadEvent) { m.metrics.LoadReport(string(event)) }
func (m loadMeter) SetLoad(l cluster.Load)            { m.metrics.SetLoad(l.CPU, l.Memory, l.InFlight) }
