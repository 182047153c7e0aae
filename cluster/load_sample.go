package cluster

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// leastSample is the shortest time that a share of the processor is told of; in
// a shorter one it is noise.
const leastSample = 50 * time.Millisecond

// Indexes into loadSampler.memory.
const (
	mappedMemory = iota
	releasedMemory
)

// loadSampler measures this process. One goroutine uses it at a time.
type loadSampler struct {
	memory [2]metrics.Sample
	used   time.Duration // processor time when it was read last
	at     time.Time
	share  float64
}

func newLoadSampler() *loadSampler {
	s := &loadSampler{used: processorTime(), at: time.Now()}
	s.memory[mappedMemory].Name = "/memory/classes/total:bytes"
	s.memory[releasedMemory].Name = "/memory/classes/heap/released:bytes"
	return s
}

// measure is the load of the process: what Load says of processor, memory and
// goroutines.
func (s *loadSampler) measure() Load {
	metrics.Read(s.memory[:])
	return Load{
		CPU:        s.processor(processorTime(), time.Now()),
		Memory:     s.memory[mappedMemory].Value.Uint64() - s.memory[releasedMemory].Value.Uint64(),
		Goroutines: runtime.NumGoroutine(),
	}
}

// processor is the share used since it was asked last.
func (s *loadSampler) processor(used time.Duration, now time.Time) float64 {
	wall := now.Sub(s.at)
	if wall < leastSample {
		return s.share
	}
	share := float64(used-s.used) / float64(wall) / float64(runtime.GOMAXPROCS(0))
	s.used, s.at, s.share = used, now, min(max(share, 0), 1)
	return s.share
}
