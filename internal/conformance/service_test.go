package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// errNoPushToFront is what Pitaya's handlers got on a frontend for what our Save
// does there without an error: nothing.
var errNoPushToFront = errors.New("frontend session can't push to front")

// request is the argument of the recorded handlers.
type request struct {
	A string `json:"a"`
	N int    `json:"n"`
}

// reply is what most recorded handlers returned.
type reply struct {
	A    string          `json:"a"`
	UID  string          `json:"uid"`
	SID  int64           `json:"sid"`
	Data json.RawMessage `json:"data"`
}

// onMessage is what the recorded handlers pushed.
type onMessage struct {
	A string `json:"a"`
	N int    `json:"n"`
}

// doc is wire-equal to the argument and the result of the recorded remotes:
// one string in field 1.
type doc = wrapperspb.StringValue

// service has the handlers "svc" and the remotes "rem" of the recorded servers.
type service struct {
	app    *cereus.App
	groups *group.Groups // nil where no conversation asks for them
	slow   *atomic.Int32
	// stopping ends slow calls before their time, so that no test waits for them.
	stopping <-chan struct{}
}

func (s *service) handlers(r *component.Routes) {
	component.Handle(r, "echo", s.echo)
	component.HandleRaw(r, "raw", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	component.Handle(r, "noarg", func(ctx context.Context, _ *component.None) (*reply, error) { return answer(ctx, "noarg") })
	component.Handle(r, "fail", s.fail)
	component.Handle(r, "failcode", s.failCode)
	component.Handle(r, "nilreply", func(context.Context, *request) (*reply, error) { return nil, nil })
	component.Handle(r, "panic", func(context.Context, *request) (*reply, error) { panic("kaboom") })
	component.Notify(r, "note", func(context.Context, *request) {})
	component.Handle(r, "large", s.large)
	component.Handle(r, "bind", s.bind)
	component.Handle(r, "setdata", s.setData)
	component.Handle(r, "push", s.push)
	component.Handle(r, "pushusers", s.pushUsers)
	component.Handle(r, "group", s.group)
	component.Handle(r, "kick", s.kick)
	component.Handle(r, "kickusers", s.kickUsers)
	component.Handle(r, "rpc", s.rpc)
	component.Handle(r, "slow", s.sleep)
}

func (s *service) remotes(r *component.Routes) {
	component.Remote(r, "echo", func(_ context.Context, d *doc) (*doc, error) {
		return &doc{Value: d.GetValue() + " from " + s.app.Server().Type}, nil
	})
	component.Remote(r, "fail", func(context.Context, *doc) (*doc, error) { return nil, errors.New("remote boom") })
	component.Remote(r, "failcode", func(context.Context, *doc) (*doc, error) {
		return nil, errs.New("GAME-9", "remote coded").With("k", "v")
	})
	component.Remote(r, "slow", func(context.Context, *doc) (*doc, error) {
		s.wait(2500 * time.Millisecond)
		return &doc{Value: "slow"}, nil
	})
}

// answer is the reply of most handlers.
func answer(ctx context.Context, a string) (*reply, error) {
	p, ok := session.FromContext(ctx)
	if !ok {
		return nil, errors.New("the handler has no session")
	}
	return &reply{A: a, UID: p.UID(), SID: p.ID(), Data: p.Data()}, nil
}

func (s *service) echo(ctx context.Context, q *request) (*reply, error) { return answer(ctx, q.A) }

func (s *service) fail(context.Context, *request) (*reply, error) {
	return nil, errors.New("plain boom")
}

func (s *service) failCode(context.Context, *request) (*reply, error) {
	return nil, errs.New("GAME-7", "coded boom").With("k", "v")
}

func (s *service) large(ctx context.Context, _ *request) (*reply, error) {
	return answer(ctx, strings.Repeat("abc", largeRepeats))
}

func (s *service) bind(ctx context.Context, q *request) (*reply, error) {
	p, _ := session.FromContext(ctx)
	if err := p.Bind(ctx, q.A); err != nil {
		return nil, err
	}
	return answer(ctx, "bound")
}

func (s *service) setData(ctx context.Context, q *request) (*reply, error) {
	p, _ := session.FromContext(ctx)
	if err := errors.Join(p.Set("name", q.A), p.Set("level", q.N)); err != nil {
		return nil, err
	}
	if s.app.Server().Frontend {
		return nil, errNoPushToFront
	}
	if err := p.Save(ctx); err != nil {
		return nil, err
	}
	return answer(ctx, "set")
}

func (s *service) push(ctx context.Context, q *request) (*reply, error) {
	p, _ := session.FromContext(ctx)
	if err := p.Push(ctx, "onMessage", onMessage{A: q.A, N: 1}); err != nil {
		return nil, err
	}
	return answer(ctx, "pushed")
}

func (s *service) pushUsers(ctx context.Context, q *request) (*reply, error) {
	p := cereus.Push{FrontendType: "connector", Route: "onMessage", Payload: onMessage{A: "pushusers", N: 2}}
	if _, err := s.app.Push(ctx, p, q.A); err != nil {
		return nil, err
	}
	return answer(ctx, "pushusers")
}

func (s *service) group(ctx context.Context, q *request) (*reply, error) {
	if err := s.groups.Create(ctx, "g1"); err != nil {
		return nil, err
	}
	if err := s.groups.Add(ctx, "g1", q.A); err != nil {
		return nil, err
	}
	p := cereus.Push{FrontendType: "connector", Route: "onMessage", Payload: onMessage{A: "group", N: 3}}
	if _, err := s.app.PushToGroup(ctx, p, s.groups, "g1"); err != nil {
		return nil, err
	}
	return answer(ctx, "group")
}

func (s *service) kick(ctx context.Context, _ *request) (*reply, error) {
	p, _ := session.FromContext(ctx)
	if err := p.Kick(ctx, ""); err != nil {
		return nil, err
	}
	return answer(ctx, "kicked")
}

func (s *service) kickUsers(ctx context.Context, q *request) (*reply, error) {
	if _, err := s.app.Kick(ctx, "connector", "", q.A); err != nil {
		return nil, err
	}
	return answer(ctx, "kickusers")
}

func (s *service) rpc(ctx context.Context, q *request) (*reply, error) {
	var d doc
	if err := s.app.RPC(ctx, q.A, &d, &doc{Value: "hello"}); err != nil {
		return nil, err
	}
	return answer(ctx, d.GetValue())
}

func (s *service) sleep(ctx context.Context, q *request) (*reply, error) {
	s.wait(time.Duration(q.N) * time.Millisecond)
	return answer(ctx, "slow")
}

// wait ignores the deadline of the call, as the recorded handlers did.
func (s *service) wait(d time.Duration) {
	s.slow.Add(1)
	defer s.slow.Add(-1)
	select {
	case <-time.After(d):
	case <-s.stopping:
	}
}

// svc and rem give the two halves of a service their own Routes.
type (
	svc struct{ *service }
	rem struct{ *service }
)

func (s svc) Routes(r *component.Routes) { s.handlers(r) }
func (s rem) Routes(r *component.Routes) { s.remotes(r) }
