package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// sightings are when watchers saw what.
type sightings struct {
	mu    sync.Mutex // guards what follows
	times map[string][]time.Time
	wake  chan struct{} // closed at the next note; nil when nobody waits
}

// anyServer is the id of updates: there are thousands, and only their number matters.
const anyServer = ""

func (s *sightings) note(event, id string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[string][]time.Time{}
	}
	if event == "update" {
		id = anyServer
	}
	s.times[event+" "+id] = append(s.times[event+" "+id], now)
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// await forgets what it returns.
func (s *sightings) await(ctx context.Context, event, id string, count int) ([]time.Time, error) {
	name := event + " " + id
	for {
		s.mu.Lock()
		times := s.times[name]
		if len(times) >= count {
			delete(s.times, name)
			s.mu.Unlock()
			return times, nil
		}
		if s.wake == nil {
			s.wake = make(chan struct{})
		}
		wake := s.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return times, fmt.Errorf("%d of %d watchers saw %s", len(times), count, name)
		}
	}
}
