package faultproxy

import (
	"context"
	"sync"
)

// gate stops those that pass it while it is shut.
type gate struct {
	mu     sync.Mutex    // guards opened
	opened chan struct{} // nil while the gate is open; closed by open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open. It reports false when ctx or ended came first.
func (g *gate) pass(ctx context.Context, ended <-chan struct{}) bool {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return true
		}
		select {
		case <-opened:
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
