package group

import (
	"context"
	"sync"
)

// turns has writers of one group in this process take turns: they would only
// make each other begin again.
type turns struct {
	mu      sync.Mutex // guards waiting, and users in it
	waiting map[string]*turn
}

type turn struct {
	taken chan struct{} // room for one: whose turn it is
	users int
}

// take waits for the caller's turn, at most until ctx ends, and returns what
// ends it.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	mine := t.join(name)
	select {
	case mine.taken <- struct{}{}:
		return func() { <-mine.taken; t.leave(name, mine) }, nil
	case <-ctx.Done():
		t.leave(name, mine)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.waiting[name]
	if mine == nil {
		mine = &turn{taken: make(chan struct{}, 1)}
		t.waiting[name] = mine
	}
	mine.users++
	return mine
}

func (t *turns) leave(name string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(t.waiting, name)
	}
}
