package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// hall is a small game to talk to.
type hall struct{}

type greeting struct {
	Name string `json:"name"`
}

func (hall) Greet(_ context.Context, g *greeting) (*greeting, error) {
	if g.Name == "" {
		return nil, errs.New(errs.CodeBadRequest, "a name is needed")
	}
	return &greeting{Name: "hello " + g.Name}, nil
}

func (hall) Shout(ctx context.Context, g *greeting) {
	if s, ok := session.FromContext(ctx); ok {
		_ = s.Push(ctx, "onShout", g)
	}
}

// standalone starts a server without a cluster and returns its address.
func standalone() (addr string, stop func()) {
	app, err := cereus.New(cereus.Frontend("connector"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	if err != nil {
		panic(err)
	}
	if err := app.Register(hall{}, component.WithName("hall")); err != nil {
		panic(err)
	}
	if err := app.Start(context.Background()); err != nil {
		panic(err)
	}
	return app.Addrs()[0].String(), func() { _ = app.Shutdown(context.Background()) }
}

func ExampleDial() {
	addr, stop := standalone()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Dial(ctx, addr, client.WithUser(map[string]any{"age": 30}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.Serializer())
	// Output: json
}

func ExampleClient_Request() {
	addr, stop := standalone()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, "tcp://"+addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	var reply greeting
	err = c.Request(ctx, "connector.hall.Greet", greeting{Name: "Ann"}, &reply)
	fmt.Println(reply.Name, err)
	err = c.Request(ctx, "connector.hall.Greet", greeting{}, &reply)
	fmt.Println(errors.Is(err, errs.ErrBadRequest), err)
	// Output:
	// hello Ann <nil>
	// true a name is needed
}

func ExampleClient_OnPush() {
	addr, stop := standalone()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	pushed := make(chan string, 1)
	c.OnPush(func(route string, data []byte) { pushed <- route + " " + string(data) })
	if err := c.Notify(ctx, "connector.hall.Shout", greeting{Name: "Bob"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-pushed)
	// Output: onShout {"name":"Bob"}
}

func ExampleClient_Go() {
	addr, stop := standalone()
	defer stop()
	c, err := client.Dial(context.Background(), addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	answers := make(chan string, 3)
	for range 3 {
		err := c.Go("connector.hall.Greet", []byte(`{"name":"Eve"}`), func(data []byte, err error) {
			answers <- fmt.Sprint(string(data), err) // data is valid only here
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	for range 3 {
		fmt.Println(<-answers)
	}
	// Output:
	// {"name":"hello Eve"}<nil>
	// {"name":"hello Eve"}<nil>
	// {"name":"hello Eve"}<nil>
}
