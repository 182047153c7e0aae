package client

import (
	"context"
	"fmt"
	"time"

	"github.com/cereus-game/cereus/protocol"
)

// A server's heartbeat is kept within these: another one would have the client
// send without a pause, or is beyond what a time can say when it is doubled.
const (
	shortestBeat = 10 * time.Millisecond
	longestBeat  = 24 * time.Hour
)

// sensible is the interval to go by when the server announced one.
func sensible(announced time.Duration) time.Duration {
	if announced <= 0 {
		return 0
	}
	return min(max(announced, shortestBeat), longestBeat)
}

// slack is how much longer than two heartbeats a server may be silent.
const slack = time.Second

// keep is the keeper: it sends heartbeats, notices a silent server (wire.md 2.5)
// and ends calls that got no response in time.
func (c *Client) keep(ctx context.Context) {
	var beat, check <-chan time.Time
	if c.heartbeat > 0 {
		ticker := time.NewTicker(c.heartbeat)
		defer ticker.Stop()
		beat = ticker.C
	}
	silence := time.NewTimer(2*c.heartbeat + slack)
	defer silence.Stop()
	if c.heartbeat > 0 {
		check = silence.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.calls.timer.C:
			c.late()
		case <-beat:
			c.queue.packet(protocol.PacketHeartbeat)
		case <-check:
			left := c.untilSilent()
			if left <= 0 {
				c.end(&CloseError{Reason: ReasonHeartbeat,
					cause: fmt.Errorf("nothing came from the server for %s", 2*c.heartbeat+slack)})
				return
			}
			silence.Reset(left)
		}
	}
}

// untilSilent is how long the server may still be silent.
func (c *Client) untilSilent() time.Duration {
	limit := 2*c.heartbeat + slack
	last := c.alive.Load()
	if last == busy {
		return limit
	}
	return limit - time.Duration(now()-last)
}
