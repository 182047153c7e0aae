package cluster

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pendingShards = 8
	wheelTick     = 5 * time.Millisecond
	wheelBuckets  = 1024 // a round lasts 5.12 s; longer deadlines stay for another round
	idleTicks     = 100  // how long the sweeper goes on ticking with nothing pending
	noSlot        = -1
)

// completer hears how a call ended. complete is called exactly once and must
// not block.
type completer interface {
	complete(data []byte, err error)
}

// callInfo is what the error of a call tells about it.
type callInfo struct {
	to      *Server
	route   string
	timeout time.Duration
}

// pendingCall is a call that somebody took out of pendingCalls to complete it.
type pendingCall struct {
	completer
	info callInfo
	sent uint64 // its place in the order of sending; 0: not yet
}

// pendingCalls holds the calls that wait for a reply. A call is known by its
// token: shard, slot and generation, so that finding it needs no map, and a
// reply to an earlier user of the slot finds nothing.
type pendingCalls struct {
	shards  [pendingShards]pendingShard
	start   time.Time
	expired func(pendingCall)

	sent   atomic.Uint64 // the latest pendingCall.sent
	count  atomic.Int64
	asleep atomic.Bool
	wake   chan struct{}
}

type pendingShard struct {
	mu     sync.Mutex // guards everything below, for a few instructions
	slots  []pendingSlot
	free   int32 // first free slot, linked by next
	used   int
	closed bool
	swept  int64               // the last tick that was expired
	wheel  [wheelBuckets]int32 // first slot of the calls that expire in a tick
}

type pendingSlot struct {
	call       pendingCall
	generation uint32 // odd while in use
	next, prev int32  // in a bucket of the wheel, or next in the free list
	deadline   int64  // in ticks since start
	epoch      uint64 // in which it was sent; 0: not yet
	bundle     uint64 // the token of the first call that was sent in the same message
}

func newPendingCalls(expired func(pendingCall)) *pendingCalls {
	p := &pendingCalls{start: time.Now(), expired: expired, wake: make(chan struct{}, 1)}
	for i := range p.shards {
		p.shards[i].free = noSlot
		for b := range p.shards[i].wheel {
			p.shards[i].wheel[b] = noSlot
		}
	}
	return p
}

// A token is generation (32 bits), slot (29 bits), shard (3 bits).
func makeToken(generation uint32, slot int32, shard int) uint64 {
	return uint64(generation)<<32 | uint64(uint32(slot))<<3 | uint64(shard)
}

// add makes done pending and returns its token.
func (p *pendingCalls) add(done completer, info callInfo) (uint64, error) {
	i := int(rand.Uint32() % pendingShards)
	deadline := p.tick(time.Now().Add(info.timeout)) + 1
	token, ok := p.shards[i].add(pendingCall{completer: done, info: info}, deadline, i)
	if !ok {
		return 0, errStopped
	}
	p.count.Add(1)
	if p.asleep.Load() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return token, nil
}

// take removes the call with this token. Whoever gets it must complete it.
func (p *pendingCalls) take(token uint64) (pendingCall, bool) {
	s := &p.shards[token&(pendingShards-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.find(token)
	if !ok {
		return pendingCall{}, false
	}
	p.count.Add(-1)
	return s.remove(slot), true
}

// sending notes the epoch and the bundle that the call is sent in. It reports
// false when the call is over already.
func (p *pendingCalls) sending(token, epoch, bundle uint64) bool {
	s := &p.shards[token&(pendingShards-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.find(token)
	if ok {
		s.slots[slot].epoch, s.slots[slot].bundle = epoch, bundle
		s.slots[slot].call.sent = p.sent.Add(1)
	}
	return ok
}

// takeEpoch removes every call that was sent in epoch.
func (p *pendingCalls) takeEpoch(epoch uint64) []pendingCall {
	return p.takeIf(func(s *pendingSlot) bool { return s.epoch == epoch })
}

// takeBundle removes every call that was sent in the bundle, and returns them in
// the order of sending.
func (p *pendingCalls) takeBundle(token uint64) []pendingCall {
	calls := p.takeIf(func(s *pendingSlot) bool { return s.bundle == token })
	slices.SortFunc(calls, func(a, b pendingCall) int { return cmp.Compare(a.sent, b.sent) })
	return calls
}

// close removes every call and refuses new ones.
func (p *pendingCalls) close() []pendingCall {
	for i := range p.shards {
		p.shards[i].mu.Lock()
		p.shards[i].closed = true
		p.shards[i].mu.Unlock()
	}
	return p.takeIf(func(*pendingSlot) bool { return true })
}

func (p *pendingCalls) takeIf(want func(*pendingSlot) bool) []pendingCall {
	var taken []pendingCall
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for n := range s.slots {
			if s.slots[n].generation&1 == 1 && want(&s.slots[n]) {
				taken = append(taken, s.remove(int32(n)))
			}
		}
		s.mu.Unlock()
	}
	p.count.Add(-int64(len(taken)))
	return taken
}

// inEpoch counts the calls that were sent in epoch and wait.
func (p *pendingCalls) inEpoch(epoch uint64) int {
	n := 0
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for j := range s.slots {
			if s.slots[j].generation&1 == 1 && s.slots[j].epoch == epoch {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

func (p *pendingCalls) tick(t time.Time) int64 { return int64(t.Sub(p.start) / wheelTick) }

// sweep expires calls until ctx ends. It ticks only while calls are pending.
func (p *pendingCalls) sweep(ctx context.Context) {
	timer := time.NewTimer(wheelTick)
	defer timer.Stop()
	swept, idle := p.tick(time.Now()), 0
	for {
		if idle > idleTicks && !p.sleep(ctx) {
			return
		}
		timer.Reset(wheelTick)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if now := p.tick(time.Now()); now > swept {
			p.expire(swept+1, now)
			swept = now
		}
		idle++
		if p.count.Load() > 0 {
			idle = 0
		}
	}
}

// sleep waits until a call is pending or ctx ends; then it reports false.
func (p *pendingCalls) sleep(ctx context.Context) bool {
	p.asleep.Store(true)
	defer p.asleep.Store(false)
	if p.count.Load() > 0 { // added before asleep could be seen
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-p.wake:
		return true
	}
}

// expire completes the calls whose deadline is in the ticks first to last. The
// first may lie many rounds back: the sweeper slept, or this process did.
func (p *pendingCalls) expire(first, last int64) {
	first = max(first, last-wheelBuckets+1)
	var late []pendingCall
	for i := range p.shards {
		late = p.shards[i].expire(first, last, late)
	}
	p.count.Add(-int64(len(late)))
	for _, call := range late {
		p.expired(call)
	}
}

func (s *pendingShard) add(call pendingCall, deadline int64, shard int) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	n := s.free
	if n == noSlot {
		n = int32(len(s.slots))
		s.slots = append(s.slots, pendingSlot{})
	} else {
		s.free = s.slots[n].next
	}
	slot := &s.slots[n]
	slot.generation++
	// The sweeper may have passed the deadline since it was reckoned.
	slot.call, slot.deadline, slot.epoch, slot.bundle = call, max(deadline, s.swept+1), 0, 0
	s.link(n, slot)
	s.used++
	return makeToken(slot.generation, n, shard), true
}

func (s *pendingShard) link(n int32, slot *pendingSlot) {
	bucket := &s.wheel[slot.deadline%wheelBuckets]
	slot.prev, slot.next = noSlot, *bucket
	if *bucket != noSlot {
		s.slots[*bucket].prev = n
	}
	*bucket = n
}

func (s *pendingShard) find(token uint64) (int32, bool) {
	slot := uint32(token) >> 3
	if uint64(slot) >= uint64(len(s.slots)) || s.slots[slot].generation != uint32(token>>32) {
		return 0, false
	}
	return int32(slot), s.slots[slot].generation&1 == 1
}

func (s *pendingShard) remove(n int32) pendingCall {
	slot := &s.slots[n]
	if slot.prev == noSlot {
		s.wheel[slot.deadline%wheelBuckets] = slot.next
	} else {
		s.slots[slot.prev].next = slot.next
	}
	if slot.next != noSlot {
		s.slots[slot.next].prev = slot.prev
	}
	call := slot.call
	slot.call = pendingCall{}
	slot.generation++
	slot.next, s.free = s.free, n
	s.used--
	return call
}

func (s *pendingShard) expire(first, last int64, late []pendingCall) []pendingCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = last
	if s.used == 0 {
		return late
	}
	for tick := first; tick <= last; tick++ {
		for n := s.wheel[tick%wheelBuckets]; n != noSlot; {
			next := s.slots[n].next
			if s.slots[n].deadline <= last {
				late = append(late, s.remove(n))
			}
			n = next
		}
	}
	return late
}
