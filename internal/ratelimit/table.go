package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	shards = 16
	// mostIdle is how many keys are remembered that nobody holds.
	mostIdle = 64 << 10
	// perCall is how many idle keys one call looks at.
	perCall = 2
)

// Table holds the buckets of keys. Use New.
type Table[K comparable] struct {
	rate   Rate
	seed   maphash.Seed
	shards [shards]shard[K]
}

// shard is a part of the keys.
type shard[K comparable] struct {
	mu      sync.Mutex // guards what follows
	entries map[K]*entry
	idle    []K // that nobody held when they were put here, the oldest first
}

// entry is the bucket of one key.
type entry struct {
	bucket  *rate.Limiter
	holders int
	used    time.Time // last, by a call of the table
	queued  bool      // in idle
}

// New returns an empty table whose keys have the rate, which must be a limit.
func New[K comparable](r Rate) *Table[K] {
	t := &Table[K]{rate: r, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].entries = make(map[K]*entry)
	}
	return t
}

// Hold returns the bucket of key, which stays the key's until Release.
func (t *Table[K]) Hold(key K) *rate.Limiter {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := t.entryLocked(s, key, time.Now())
	e.holders++
	return e.bucket
}

// Release undoes one Hold.
func (t *Table[K]) Release(key K) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil && e.holders > 0 {
		e.holders--
		e.used = time.Now()
		s.queueLocked(key, e)
	}
}

// Allow takes a token of key and reports whether there was one.
func (t *Table[K]) Allow(key K) bool {
	now := time.Now()
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := t.entryLocked(s, key, now)
	s.queueLocked(key, e)
	return e.bucket.AllowN(now, 1)
}

// Len is the number of keys that are remembered.
func (t *Table[K]) Len() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

// Sweep forgets every key that nobody holds and that has all its tokens.
func (t *Table[K]) Sweep() {
	now := time.Now()
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		t.sweepLocked(s, now, len(s.idle))
		s.mu.Unlock()
	}
}

func (t *Table[K]) shard(key K) *shard[K] {
	return &t.shards[maphash.Comparable(t.seed, key)%shards]
}

func (t *Table[K]) entryLocked(s *shard[K], key K, now time.Time) *entry {
	t.sweepLocked(s, now, perCall)
	e := s.entries[key]
	if e == nil {
		e = &entry{bucket: t.rate.Bucket()}
		s.entries[key] = e
	}
	e.used = now
	return e
}

func (s *shard[K]) queueLocked(key K, e *entry) {
	if !e.queued && e.holders == 0 {
		e.queued = true
		s.idle = append(s.idle, key)
	}
}

// sweepLocked looks at the n oldest idle keys, and at more while there are too many.
func (t *Table[K]) sweepLocked(s *shard[K], now time.Time, n int) {
	for ; len(s.idle) > 0 && (n > 0 || len(s.idle) > mostIdle/shards); n-- {
		key := s.idle[0]
		e := s.entries[key]
		rested := now.Sub(e.used) >= t.rate.Per
		if e.holders == 0 && !rested && len(s.idle) <= mostIdle/shards {
			// Not yet. It was used since, or those behind it are younger still.
			s.idle = append(s.idle[1:], key)
			continue
		}
		s.idle = s.idle[1:]
		e.queued = false
		if e.holders == 0 {
			delete(s.entries, key)
		}
	}
	if len(s.idle) == 0 {
		s.idle = nil
	}
}
