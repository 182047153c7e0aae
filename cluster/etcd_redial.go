package cluster

import (
	"sync"
	"time"
)

const (
	// firstRedialPause and lastRedialPause bound the time between one replacement of
	// the connections and the next. A new connection may need longer than a request
	// to answer, when etcd is busy or many servers log in at once: who closes it too
	// early never gets an answer.
	firstRedialPause = time.Second
	lastRedialPause  = 10 * time.Second
)

// redialPace says when connections may be replaced again: each time in a row
// that did not help doubles the pause.
type redialPace struct {
	mu    sync.Mutex // guards what follows
	last  time.Time
	pause time.Duration
}

// allows reports whether they may be now, and counts it when so.
func (p *redialPace) allows(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	passed := now.Sub(p.last)
	switch {
	case passed < p.pause:
		return false
	case p.last.IsZero() || passed > 2*lastRedialPause: // a trouble of its own
		p.pause = firstRedialPause
	default:
		p.pause = min(2*p.pause, lastRedialPause)
	}
	p.last = now
	return true
}
