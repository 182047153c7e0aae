package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

const (
	// standstillTick is how often an RPCServer looks at the clock. It does so also
	// when it is idle: after a silence a standstill could not be told from it.
	standstillTick = 200 * time.Millisecond
	// standstillLeast is the shortest time without a look that counts as one.
	standstillLeast = 500 * time.Millisecond
	// standstillSettle bounds how long requests count as having waited, should
	// NATS not give the mark back.
	standstillSettle = 5 * time.Second
)

// standstill knows when this process stood still, as after a SIGSTOP, and for
// how long. What was sent to it meanwhile waited in the socket, and nobody knows
// how long: it counts as having waited all the time. What was sent later is told
// from it by a mark: an empty message that the server sends to its own subject
// when it goes on, and that NATS delivers behind everything that waited.
//
// No two clocks are compared. A halt of the whole machine that its monotonic
// clock does not count is not noticed.
type standstill struct {
	start  time.Time     // of the times below
	mark   string        // begins the reply subject of every mark
	fresh  atomic.Int64  // until when nobody needs to look
	wanted chan struct{} // there is news for watch; room for one

	mu     sync.Mutex    // guards what follows
	last   time.Duration // the last look at the clock
	behind time.Duration // how old what is read now may be; 0: all that waited is read
	until  time.Duration // when to wait for the mark no longer
	number int           // of the mark that ends it
	untold time.Duration // time of standing still that watch has not told
}

func newStandstill() *standstill {
	s := &standstill{start: time.Now(), mark: inboxPrefix + nuid.Next() + ".", wanted: make(chan struct{}, 1)}
	s.fresh.Store(int64(standstillLeast))
	return s
}

// age is how old a request that was read now may be. Usually it costs one atomic load.
func (s *standstill) age(now time.Time) time.Duration {
	at := now.Sub(s.start)
	if int64(at) <= s.fresh.Load() {
		return 0
	}
	return s.look(at)
}

// look notices a standstill and returns how old what is read now may be. The
// first to look may be the clock's tick or a request that waited.
func (s *standstill) look(at time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := at - s.last
	s.last = max(s.last, at)
	switch {
	case gap > standstillLeast:
		s.behind += gap
		s.untold += gap
		s.until = at + standstillSettle
		s.number++ // a mark on its way is older than some of what waited
		select {
		case s.wanted <- struct{}{}:
		default:
		}
	case at > s.until:
		s.behind = 0
	}
	s.settleLocked()
	return s.behind
}

// settleLocked has requests look again soon, or each of them while something
// that waited may still be read.
func (s *standstill) settleLocked() {
	if s.behind > 0 {
		s.fresh.Store(0)
		return
	}
	s.fresh.Store(int64(s.last + standstillLeast))
}

// passed reports whether m is a mark. When it is the awaited one, everything
// that waited has been read.
func (s *standstill) passed(m message) bool {
	if len(m.data) > 0 || !strings.HasPrefix(m.reply, s.mark) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.reply == s.markLocked() {
		s.behind = 0
		s.settleLocked()
	}
	return true
}

func (s *standstill) markLocked() string { return s.mark + strconv.Itoa(s.number) }

// news returns the time of standing still that was not told yet, and the mark
// that is awaited, if one is.
func (s *standstill) news() (untold time.Duration, mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	untold, s.untold = s.untold, 0
	if s.behind > 0 {
		mark = s.markLocked()
	}
	return untold, mark
}

// watchStandstill looks at the clock until ctx ends.
func (s *RPCServer) watchStandstill(ctx context.Context) {
	tick := time.NewTicker(standstillTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.still.wanted:
		}
		s.still.look(time.Since(s.still.start))
		untold, mark := s.still.news()
		if untold > 0 {
			s.metrics.CountRPC(EventPaused)
			s.log.WithField("pause", untold).Warn("this process stood still; requests that waited count as that much older")
		}
		if mark != "" {
			s.sendMark(mark)
		}
	}
}

// sendMark has NATS deliver a mark behind everything that waits. One that cannot
// be sent now is sent at the next tick.
func (s *RPCServer) sendMark(mark string) {
	body, err := s.buffers.encode(&clusterpb.Request{}) // no bytes
	if err != nil {
		return
	}
	_ = s.transport.publish(outgoing{subject: s.subjects.server(s.self.Type, s.self.ID), reply: mark, body: body})
}
