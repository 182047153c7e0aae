package cluster

import (
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// Limits of a load report. One beyond them is dropped by whoever receives it.
const (
	// MaxLoadValues is the most values of the application in one report. A name
	// is 1 to 64 of A-Z a-z 0-9 _ . and -.
	MaxLoadValues = 64
	// maxLoadReport is the longest report in bytes.
	maxLoadReport = 8 << 10
	// maxLoadCount is the highest number of goroutines, sessions or calls.
	maxLoadCount = 1<<31 - 1
	// maxLoadInterval is the longest time between reports.
	maxLoadInterval = time.Hour
	// maxLoadsHeard is how many reports a second anybody should have to hear: what all
	// of a cluster spend on them grows with its size, and not with the square of it.
	maxLoadsHeard = 200
)

// loadLifetime is after how many of its intervals without a report a server's
// load is not known any more.
const loadLifetime = 10

// Load is how busy a server is. As JSON it has the names that package admin shows.
type Load struct {
	// CPU is the share of the processor time that the process may use (GOMAXPROCS
	// processors) which it did use since its last report: 0 to 1. It is 0 where the
	// operating system does not tell.
	CPU float64 `json:"cpu"`
	// Memory is what the process has from the operating system and did not give
	// back, in bytes.
	Memory     uint64 `json:"memory"`
	Goroutines int    `json:"goroutines"`
	Sessions   int    `json:"sessions"`  // players connected to it
	InFlight   int    `json:"in_flight"` // handlers and remotes that run or wait to run
	// Values are the application's. The map is shared: do not change it.
	Values map[string]float64 `json:"values,omitempty"`
}

// Loads is what servers told of their load. It may be asked from any goroutine,
// takes no lock and allocates nothing.
type Loads struct {
	heard *xsync.Map[string, *heardLoad] // by server id
}

// heardLoad is the last report of a server.
type heardLoad struct {
	load     Load
	nonce    string // the run that told it
	at       time.Time
	interval time.Duration // that it promised
}

func newLoads() *Loads { return &Loads{heard: xsync.NewMap[string, *heardLoad]()} }

// Of returns the load of the server with that id, this one included, and how
// long ago it was heard. It reports false for a server that is not in the
// cluster, that does not tell its load (see constants.CapLoad), or that was not
// heard of for ten of its intervals.
func (l *Loads) Of(id string) (Load, time.Duration, bool) {
	h, ok := l.heard.Load(id)
	if !ok {
		return Load{}, 0, false
	}
	age := time.Since(h.at)
	if age > loadLifetime*h.interval {
		return Load{}, 0, false
	}
	return h.load, age, true
}

func (l *Loads) store(id string, h *heardLoad) { l.heard.Store(id, h) }

// forget drops what a run of a server told.
func (l *Loads) forget(id, nonce string) {
	l.heard.Compute(id, func(h *heardLoad, loaded bool) (*heardLoad, xsync.ComputeOp) {
		if loaded && h.nonce == nonce {
			return nil, xsync.DeleteOp
		}
		return h, xsync.CancelOp
	})
}
