package session_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/session"
)

var exampleLevel = session.NewKey[int]("level")

// A handler: it works on a frontend and on a backend alike.
func levelUp(ctx context.Context) error {
	s, ok := session.FromContext(ctx)
	if !ok {
		return fmt.Errorf("called as a remote")
	}
	level, err := exampleLevel.Or(s, 1)
	if err != nil {
		return err
	}
	if err := exampleLevel.Set(s, level+1); err != nil {
		return err
	}
	return s.Save(ctx)
}

func ExampleFromContext() {
	s, _ := session.New(session.Params{ID: 1, Entity: &entity{}})
	fmt.Println(levelUp(session.NewContext(context.Background(), s)))
	fmt.Println(string(s.Data()))
	// Output:
	// <nil>
	// {"level":2}
}

func ExamplePool_Bind() {
	pool := session.NewPool(session.PoolParams{
		Replaced: func(old *session.Session) { old.Close("replaced") },
	})
	pool.OnUnbind(func(_ context.Context, s *session.Session, uid string) {
		fmt.Println("session", s.ID(), "is not", uid, "any more")
	})
	ctx := context.Background()
	for range 2 {
		s, _ := session.New(session.Params{ID: pool.NextID(), Entity: &entity{pool: pool}})
		_ = pool.Add(s)
		fmt.Println(s.Bind(ctx, "ann"))
	}
	s, _ := pool.ByUID("ann")
	fmt.Println("ann is session", s.ID())
	// Output:
	// <nil>
	// session 1 is not ann any more
	// <nil>
	// ann is session 2
}

func ExampleSession_OnClose() {
	s, _ := session.New(session.Params{ID: 7, UID: "ann", Entity: &entity{}})
	s.OnClose(func(s *session.Session) { fmt.Println(s.UID(), "left") })
	s.Close("bye")
	s.Close("again")
	// Output: ann left
}
