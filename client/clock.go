package client

import (
	"math"
	"time"
)

// epoch makes times small integers that no change of the wall clock moves.
var epoch = time.Now()

// busy stands in Client.alive while the reader runs a callback: a slow callback
// is not a silent server.
const busy = math.MaxInt64

// now is the time since epoch in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }
