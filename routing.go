package cereus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/router"
)

// SetRouter is WithRouter for what needs the app, such as
//
//	app.SetRouter("room", 0, router.LeastLoaded(app.LoadOf))
//
// It may be called at any time. nil leaves the type to what is set for every
// type, and that to chance. Calls that are being routed may still use what was
// set before.
func (a *App) SetRouter(serverType string, kind router.Kind, pick router.Func) error {
	if err := checkRouter(serverType, kind); err != nil {
		return err
	}
	setRouter(a.dispatcher.Router, routerOption{serverType, kind, pick})
	return nil
}

func checkRouter(serverType string, kind router.Kind) error {
	switch {
	case kind > router.ToRemote:
		return fmt.Errorf("router for %q: kind %d is none: use router.ToHandler, router.ToRemote or 0 for both", serverType, kind)
	case serverType == "" && kind != 0:
		return errors.New("a router for every type is for handlers and remotes: give it kind 0")
	}
	return nil
}

func setRouter(r *router.Router, o routerOption) {
	if o.serverType == "" {
		r.SetDefault(o.pick)
		return
	}
	r.Set(o.serverType, o.kind, o.pick)
}

// LoadOf is how busy a server is, for router.LeastLoaded and router.Bound: the
// calls and forwards of this server that wait for it, and what it tells of its
// own work and processor (App.Load), which counts less the older it is. It takes
// no lock and allocates nothing.
func (a *App) LoadOf(s *cluster.Server) float64 { return a.dispatcher.Load(s) }

// OnMoved has fn hear when a session goes to another server than the one it met,
// of the types that cluster.router.* makes sticky (for a router in code see
// router.StickyParams). It is called on the goroutine of the session's call,
// before that is sent: it must not block. OnMoved must be called before Start.
func (a *App) OnMoved(fn func(router.Move)) error {
	if fn == nil {
		return errors.New("OnMoved(nil): pass a function")
	}
	return a.beforeStart(func() error { a.moved = append(a.moved, fn); return nil })
}

// routes is the router as configuration and options say.
func (a *App) routes() *router.Router {
	c, r := a.config.Cluster.Router, router.New()
	r.BoundKeys(a.bound(c.Default))
	types := make(map[string]router.Func, len(c.Types))
	for serverType, p := range c.Types {
		types[serverType] = orRandom(a.policy(p))
		r.Set(serverType, 0, types[serverType])
	}
	r.SetDefault(withCapitals(types, a.policy(c.Default)))
	for _, o := range a.opts.routers {
		setRouter(r, o)
	}
	return r
}

// withCapitals is rest, but for types that are configured in another case: the
// names in files are lower-cased.
func withCapitals(types map[string]router.Func, rest router.Func) router.Func {
	if len(types) == 0 {
		return rest
	}
	rest = orRandom(rest)
	return func(ctx context.Context, call router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		if f, ok := types[strings.ToLower(call.ServerType)]; ok {
			return f(ctx, call, servers)
		}
		return rest(ctx, call, servers)
	}
}

func orRandom(f router.Func) router.Func {
	if f == nil {
		return router.Random()
	}
	return f
}

// policy is the Func that a configuration describes; nil for one that describes nothing.
func (a *App) policy(p config.RouterPolicy) router.Func {
	name := p.Policy
	if name == config.PolicySticky {
		name = p.Inner
	}
	f := a.plain(name, p)
	if p.Zone.Metadata != "" {
		f = router.Zone(a.zone(p.Zone), f)
	}
	if p.Canary.Metadata != "" {
		f = router.Canary(router.CanaryParams(p.Canary), f)
	}
	if p.Version.Metadata != "" {
		f = router.ByVersion(a.version(p.Version), f)
	}
	if p.Policy == config.PolicySticky {
		f = router.Sticky(f, router.StickyParams{Moved: a.tellMoved})
	}
	return f
}

// plain is nil for the policy that chooses at random, which is what nil means everywhere.
func (a *App) plain(name config.PolicyName, p config.RouterPolicy) router.Func {
	switch name {
	case config.PolicyRoundRobin:
		return router.RoundRobin()
	case config.PolicyLeastLoaded:
		return router.LeastLoaded(a.LoadOf)
	case config.PolicyRendezvous:
		return router.Rendezvous(a.bound(p))
	case config.PolicyRandom, config.PolicySticky:
	}
	return nil
}

func (a *App) bound(p config.RouterPolicy) router.Bound {
	return router.Bound{Factor: p.Bound, Load: a.LoadOf}
}

func (a *App) zone(z config.RouterZone) router.ZoneParams {
	p := router.ZoneParams{Metadata: z.Metadata, Zone: cmp.Or(z.Zone, a.self.Metadata[z.Metadata])}
	if z.Busy > 0 {
		p.Busy = func(s *cluster.Server) bool { return a.LoadOf(s) > z.Busy }
	}
	return p
}

// version takes a call without a client to be of this server's version.
func (a *App) version(v config.RouterVersion) router.VersionParams {
	own := a.self.Metadata[v.Metadata]
	return router.VersionParams{Metadata: v.Metadata, Client: func(c router.Call) string { return cmp.Or(c.Build, own) }}
}

func (a *App) tellMoved(m router.Move) {
	for _, fn := range a.moved {
		fn(m)
	}
}
