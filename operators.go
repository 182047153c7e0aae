package cereus

import (
	"errors"

	"github.com/cereus-game/cereus/admin"
	"github.com/cereus-game/cereus/cluster"
)

// admin makes what operators are shown.
func (a *App) admin() *admin.Server {
	c := a.config.Admin
	p := admin.Params{
		Address: c.Address, Checks: a.checks, Registry: a.metrics.Registry(), Pprof: pprofOption(c.Pprof), Log: a.log,
	}
	if a.discovery != nil {
		p.Discovery, p.Degraded, p.Token = a.discovery, a.degraded, string(c.Token)
		p.Load = func(id string) (any, bool) { return a.Load(id) }
	} else if c.Token != "" {
		a.log.Warn("admin.token is set, but a standalone server has no cluster for the discovery API to show: it is off")
	}
	return admin.New(p)
}

func pprofOption(on bool) admin.Pprof {
	if on {
		return admin.WithPprof
	}
	return admin.WithoutPprof
}

// checks are the parts whose readiness /readyz tells.
func (a *App) checks() []admin.Check {
	checks := []admin.Check{{Name: "app", Err: notReady(a.ready.Load())}}
	if a.discovery == nil {
		return checks
	}
	if a.self.Frontend {
		checks = append(checks, admin.Check{Name: "state", Err: aside(a.discovery.Self())})
	}
	return append(checks,
		admin.Check{Name: "etcd", Err: fenced(a.discovery.Fenced())},
		admin.Check{Name: "health", Err: a.discovery.Unhealthy()},
		admin.Check{Name: "nats", Err: disconnected(a.client.Connected())},
	)
}

// degraded are the parts whose faults /healthz tells while the app goes on. An
// etcd that is away is one of them: the last view stays, and calls go on.
func (a *App) degraded() []admin.Check {
	return []admin.Check{{Name: "etcd", Err: a.discovery.Degraded()}}
}

func notReady(ready bool) error {
	if ready {
		return nil
	}
	return errors.New("starting or stopping")
}

// aside is why a frontend takes no new players although it is up, which a load
// balancer sees as not ready: it was set aside by Pause or an edit of its state.
func aside(self *cluster.Server) error {
	if self.State == cluster.StatePaused || self.State == cluster.StateDraining {
		return errors.New("the server is " + string(self.State) + " and takes no new players")
	}
	return nil
}

func disconnected(connected bool) error {
	if connected {
		return nil
	}
	return errors.New("not connected to NATS")
}

func fenced(fenced bool) error {
	if !fenced {
		return nil
	}
	return errors.New("the registration in etcd is lost, and no new players are taken until it is had again (sd.etcd.onloss: fence)")
}
