package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// actor is one server of a storm, in one life after the other.
type actor struct {
	storm      *storm
	id         string
	serverType string
	endpoint   string
	random     *rand.Rand

	runs int
	life *life // nil: the process does not run
}

// act is something that a server does, of its own will or not.
type act struct {
	name   string
	weight int
	do     func(a *actor, ctx context.Context) error
}

func acts() []act {
	return []act{
		{"edit", 30, (*actor).edit},
		{"pause", 8, func(a *actor, _ context.Context) error { a.life.d.Pause(); return nil }},
		{"resume", 14, func(a *actor, _ context.Context) error { a.life.d.Resume(); return nil }},
		{"deregister", 8, func(a *actor, ctx context.Context) error { return a.life.d.Deregister(ctx) }},
		{"register", 14, func(a *actor, ctx context.Context) error { return a.life.d.Register(ctx) }},
		{"sync", 8, func(a *actor, ctx context.Context) error { return a.life.d.SyncServers(ctx) }},
		{"crash", 5, (*actor).crash},
		{"restart", 3, (*actor).restart},
	}
}

// run acts until ctx ends.
func (a *actor) run(ctx context.Context) {
	all, total := acts(), 0
	for _, c := range all {
		total += c.weight
	}
	for pause(ctx, time.Duration((0.2+a.random.ExpFloat64())*float64(2*time.Second))) {
		n := a.random.IntN(total)
		for _, c := range all {
			if n -= c.weight; n < 0 {
				a.act(ctx, c)
				break
			}
		}
	}
}

func (a *actor) act(ctx context.Context, c act) {
	trying, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if a.life == nil {
		if a.start(trying) != nil {
			return // next time
		}
	}
	err := c.do(a, trying)
	if ctx.Err() == nil {
		a.storm.count(c.name, err)
	}
}

func (a *actor) edit(ctx context.Context) error {
	var e Edit
	if a.random.IntN(2) == 0 {
		e.State = []State{StateUp, StateUp, StateBusy, StateDraining}[a.random.IntN(4)]
	}
	if a.random.IntN(2) == 0 {
		weight := a.random.IntN(3) * 100
		e.Weight = &weight
	}
	if a.random.IntN(3) > 0 {
		value := fmt.Sprint(a.random.IntN(4))
		e.Metadata = map[string]*string{"stack": &value, "extra": nil}
		if a.random.IntN(2) == 0 {
			e.Metadata["extra"] = &value
		}
	}
	return a.life.d.Edit(ctx, e)
}

// start begins another life.
func (a *actor) start(ctx context.Context) error {
	self := backend(a.id)
	self.Type = a.serverType
	p := etcdParams(self, a.endpoint)
	p.RevokeTimeout = 2 * time.Second
	p.SuspectFor = time.Hour
	if a.runs++; a.random.IntN(3) == 0 {
		p.SuspectFor = time.Second
	}
	l, err := newLife(fmt.Sprintf("%s run %d", a.id, a.runs), p)
	if err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	a.life = l
	a.storm.keep(l)
	l.ended.Go(func() { a.rule(l) })
	return nil
}

// crash ends the life without a word, and begins another one in less or more
// than the time to live of its lease.
func (a *actor) crash(ctx context.Context) error {
	err := a.kill()
	pause(ctx, time.Duration(a.random.Int64N(int64(3*time.Second))))
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, a.again(ctx))
}

func (a *actor) kill() error {
	ctx, cancel := within(context.Background())
	defer cancel()
	err := a.life.kill(ctx)
	a.life = nil
	return err
}

// restart ends the life as it should end, and begins another one.
func (a *actor) restart(ctx context.Context) error {
	return errors.Join(a.leave(context.WithoutCancel(ctx)), a.again(ctx))
}

func (a *actor) leave(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	err := a.life.close(ctx)
	a.life = nil
	return err
}

// again comes back, as the id's only process.
func (a *actor) again(ctx context.Context) error {
	if err := a.start(ctx); err != nil {
		return err
	}
	return a.life.d.Register(ctx)
}

// settle has the server run and registered, and wanting work.
func (a *actor) settle(ctx context.Context) error {
	for a.life == nil {
		if err := a.start(ctx); err != nil && ctx.Err() != nil {
			return fmt.Errorf("%s does not start: %w", a.id, err)
		}
	}
	a.life.d.Resume()
	if err := a.life.d.Register(ctx); err != nil {
		return fmt.Errorf("%s does not register: %w", a.id, err)
	}
	return nil
}
