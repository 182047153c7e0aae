package component_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/serializer"
)

type JoinRequest struct {
	Room string `json:"room"`
}

type JoinReply struct {
	Members int `json:"members"`
}

// Hall's handlers are found: every exported method that takes a context.
type Hall struct{}

func (h *Hall) Join(_ context.Context, req *JoinRequest) (*JoinReply, error) {
	return &JoinReply{Members: len(req.Room)}, nil
}

func (h *Hall) Leave(context.Context) {} // a notify: no answer

func ExampleTable_Register() {
	table := component.NewTable()
	err := table.Register(&Hall{}, component.WithName("hall"), component.WithNameFunc(strings.ToLower))
	fmt.Println(err)

	m, _ := table.Handler("hall.join")
	arg, _ := m.Decode([]byte(`{"room":"blue"}`), serializer.JSON())
	reply, _ := m.Call(context.Background(), arg)
	body, _ := m.Encode(reply, serializer.JSON())
	fmt.Println(string(body))
	// Output:
	// <nil>
	// {"members":4}
}

// Arena lists its routes: no reflection in a call, and nothing else is reachable.
type Arena struct{}

func (a *Arena) Routes(r *component.Routes) {
	component.Handle(r, "join", a.join)
	component.HandleRaw(r, "echo", a.echo, component.WithConcurrent())
	component.Notify(r, "move", a.move)
	component.Remote(r, "stats", a.stats)
}

func (a *Arena) join(context.Context, *JoinRequest) (*JoinReply, error)     { return &JoinReply{}, nil }
func (a *Arena) echo(_ context.Context, body []byte) ([]byte, error)        { return body, nil }
func (a *Arena) move(context.Context, *JoinRequest)                         {}
func (a *Arena) stats(context.Context, *component.None) (*JoinReply, error) { return &JoinReply{}, nil }

func ExampleHandle() {
	table := component.NewTable()
	if err := table.Register(&Arena{}, component.WithName("arena")); err != nil {
		fmt.Println(err)
	}
	for _, r := range table.Routes() {
		fmt.Println(r.Short, r.Kind, r.Remote, r.Concurrent)
	}
	// Output:
	// arena.echo request false true
	// arena.join request false false
	// arena.move notify false false
	// arena.stats request true false
}
