package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Bounds of the replies that wait for a connection.
const (
	keptReplies    = 4096
	keptReplyBytes = 16 << 20
	keptReplyPoll  = 20 * time.Millisecond
)

// replyKeeper keeps the replies that cannot be sent because this server is off
// NATS, while their callers, who are not, wait. It sends them when it is back,
// unless their callers' time is over. What a connection had taken when it broke
// is lost. A reply may be sent twice; its caller takes the first.
type replyKeeper struct {
	transport Transport
	start     time.Time // of the times in replies
	lost      func()    // counts a reply that is given up
	work      *lifecycle.Group

	mu      sync.Mutex // guards what follows
	replies []outgoing
	bytes   int
	waiting bool // a goroutine waits for the connection
}

func newReplyKeeper(transport Transport, work *lifecycle.Group, lost func()) *replyKeeper {
	return &replyKeeper{transport: transport, start: time.Now(), work: work, lost: lost}
}

// deadline is a time in the form that outgoing.until has.
func (k *replyKeeper) deadline(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Sub(k.start))
}

// keep takes m, which was not sent because of err, and reports whether it did.
func (k *replyKeeper) keep(m *outgoing, err error) bool {
	if k == nil || !errors.Is(err, errNotConnected) && !errors.Is(err, errQueueFull) {
		return false
	}
	now := time.Since(k.start)
	if m.until == 0 { // the caller did not say
		m.until = now + DefaultRPCTimeout
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.until <= now || len(k.replies) == keptReplies || k.bytes+len(m.body.b) > keptReplyBytes {
		return false
	}
	if !k.waiting {
		k.waiting = k.work.Go("rpc kept replies", k.wait)
	}
	if !k.waiting { // stopping
		return false
	}
	m.lone = false
	k.replies = append(k.replies, *m)
	k.bytes += len(m.body.b)
	return true
}

// wait sends what is kept once there is a connection, and ends when nothing is.
func (k *replyKeeper) wait(ctx context.Context) {
	poll := time.NewTicker(keptReplyPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			k.drop()
			return
		case <-poll.C:
		}
		k.send()
		if k.rest() {
			return
		}
	}
}

// rest reports whether nothing is kept any more; then wait must end.
func (k *replyKeeper) rest() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = len(k.replies) > 0
	return !k.waiting
}

// send sends what is kept, if it can. What it cannot comes back through keep.
func (k *replyKeeper) send() {
	connected := k.transport.status().connected
	now := time.Since(k.start)
	k.mu.Lock()
	all := k.replies
	if connected {
		k.replies, k.bytes = nil, 0
	} else {
		all = k.expireLocked(now)
	}
	k.mu.Unlock()
	for i := range all {
		if m := &all[i]; m.until <= now {
			m.release()
			k.lost()
		} else if k.transport.publish(*m) != nil {
			k.lost()
		}
	}
}

// expireLocked takes out what nobody waits for any more.
func (k *replyKeeper) expireLocked(now time.Duration) []outgoing {
	var over []outgoing
	kept := k.replies[:0]
	for _, m := range k.replies {
		if m.until > now {
			kept = append(kept, m)
			continue
		}
		over = append(over, m)
		k.bytes -= len(m.body.b)
	}
	clear(k.replies[len(kept):])
	k.replies = kept
	return over
}

func (k *replyKeeper) drop() {
	k.mu.Lock()
	all := k.replies
	k.replies, k.bytes, k.waiting = nil, 0, false
	k.mu.Unlock()
	for i := range all {
		all[i].release()
		k.lost()
	}
}
