package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
)

const (
	talkers    = 8  // half of them on each frontend
	holders    = 4  // whose last request the victim begins and never ends
	before     = 20 // requests that every talker has made when the signal comes
	after      = 40 // requests that every talker makes after the end of the victim
	neverEnded = "hold room-1"
)

// trace reports on out every request that a handler begins with, and never
// ends with a text that starts with "hold" and the id of this server.
func trace(out io.Writer, id string) cereus.Option {
	return cereus.WithHandlerMiddleware(pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) {
		switch req := in.(type) {
		case *JoinRequest:
			_, _ = fmt.Fprintf(out, "begun %s\n", nameOf(req))
		case *SayRequest:
			_, _ = fmt.Fprintf(out, "begun %s\n", req.Text)
			if strings.HasPrefix(req.Text, "hold "+id) {
				select {}
			}
		}
		return ctx, in, nil
	}))
}

// nameOf tells joins apart: the chat trims the name of a room, so each of a
// talker's may have another number of spaces behind it.
func nameOf(req *JoinRequest) string { return fmt.Sprintf("join %s %d", req.Name, len(req.Room)) }

// attempt is one request and how it went.
type attempt struct {
	text  string
	began time.Time
	err   error
}

// load is what some talkers did.
type load struct {
	mu    sync.Mutex // guards the fields below
	tried []attempt
	count map[int]int // by talker
}

func (l *load) add(talker int, a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried = append(l.tried, a)
	if l.count == nil {
		l.count = make(map[int]int)
	}
	l.count[talker]++
}

func (l *load) least() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.count) < talkers {
		return 0
	}
	least := l.count[0]
	for _, n := range l.count {
		least = min(least, n)
	}
	return least
}

// reach waits until every talker has made n requests.
func (l *load) reach(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return l.least() >= n }, 2*time.Minute, 5*time.Millisecond)
}

// start has the talkers say something and ask for the history in turn, each
// the next when the last was answered, until the returned function is called.
func (l *load) start(t *testing.T, c *cluster) (stop func()) {
	t.Helper()
	var talking sync.WaitGroup
	done := make(chan struct{})
	for i := range talkers {
		v := connect(t, c.fronts[i%len(c.fronts)].tcp)
		name := fmt.Sprintf("talker-%d", i)
		v.join(t, name, "hall")
		talking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				a := attempt{text: fmt.Sprintf("load %d.%d", i, n), began: time.Now()}
				if n%4 == 3 {
					req := &JoinRequest{Name: name, Room: "hall" + strings.Repeat(" ", n%4000)}
					a.text = nameOf(req)
					a.err = v.try("room.chat.join", req)
				} else {
					a.err = v.say(a.text)
				}
				l.add(i, a)
			}
		})
	}
	return sync.OnceFunc(func() { close(done); talking.Wait() })
}

// witness counts the messages that everybody in the room gets.
type witness struct {
	mu   sync.Mutex // guards seen
	seen map[string]int
}

func watch(t *testing.T, c *cluster) *witness {
	t.Helper()
	w := &witness{seen: make(map[string]int)}
	v := connect(t, c.fronts[0].tcp)
	v.OnPush(func(route string, data []byte) {
		var m Message
		if route != "chat.message" || json.Unmarshal(data, &m) != nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[m.Text]++
	})
	v.join(t, "witness", "hall")
	return w
}

// check expects every text that was answered exactly once, and no other more
// than once.
func (w *witness) check(t *testing.T, l *load) {
	t.Helper()
	for _, a := range l.tried {
		if strings.HasPrefix(a.text, "load") && a.err == nil {
			require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.seen[a.text] > 0 },
				patience, time.Millisecond, "nobody heard %q", a.text)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for text, times := range w.seen {
		require.Equal(t, 1, times, text)
	}
}

// TestTermOfABackendFailsNothing ends one of two backends in an orderly way
// while eight visitors talk.
func TestTermOfABackendFailsNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, asIs)
	w := watch(t, c)
	var l load
	stop := l.start(t, c)
	defer stop()
	l.reach(t, before)

	c.rooms[0].signal(syscall.SIGTERM)
	require.Equal(t, 0, c.rooms[0].end(t))
	l.reach(t, l.least()+after)
	stop()

	for _, a := range l.tried {
		require.NoError(t, a.err, "%q", a.text)
	}
	w.check(t, &l)
	t.Logf("%d requests", len(l.tried))
}

// TestKillOfABackendFailsOnlyWhatItHadBegun kills one of two backends while
// eight visitors talk and four wait for answers that it will never give.
// The backend says what its handlers begin. A request that had been handed to
// the process, or to its socket, but not yet to a handler cannot be told from
// those; it is one that was under way when the process died. So: what the
// handlers began and did not end fails, what was sent after the death does not,
// and what failed was either begun or under way.
func TestKillOfABackendFailsOnlyWhatItHadBegun(t *testing.T) {
	t.Parallel()
	c := startCluster(t, traced)
	w := watch(t, c)
	var l, held load
	stop := l.start(t, c)
	defer stop()
	var holding sync.WaitGroup
	defer holding.Wait()
	for i := range holders {
		v := connect(t, c.fronts[i%len(c.fronts)].tcp)
		v.join(t, fmt.Sprintf("holder-%d", i), "cellar")
		holding.Go(func() {
			for n := 0; ; n++ { // the other backend answers; some time the victim is asked
				a := attempt{text: fmt.Sprintf("%s %d.%d", neverEnded, i, n), began: time.Now()}
				a.err = v.say(a.text)
				held.add(i, a)
				if a.err != nil {
					return
				}
			}
		})
	}
	victim := c.rooms[0]
	require.Eventually(t, func() bool { return len(victim.find(`(?m)^begun `+neverEnded)) == holders }, patience, 5*time.Millisecond)
	l.reach(t, before)

	victim.signal(syscall.SIGKILL)
	require.Equal(t, -1, victim.end(t))
	c.noticed(t, "room-1")
	dead := time.Now()
	l.reach(t, l.least()+after)
	stop()
	holding.Wait()

	begun := victim.begun()
	lost, underWay := 0, 0
	for _, a := range append(held.tried, l.tried...) {
		if a.err == nil {
			continue
		}
		lost++
		require.True(t, gone(a.err), "%q: %v", a.text, a.err)
		require.True(t, a.began.Before(dead), "%q was sent after the death: %v", a.text, a.err)
		if !begun[a.text] {
			underWay++
		}
	}
	require.LessOrEqual(t, underWay, talkers, "no visitor has more than one request under way")
	require.GreaterOrEqual(t, lost, holders, "what it had begun cannot have been answered")
	for text := range begun {
		if strings.HasPrefix(text, neverEnded) {
			require.True(t, held.failed(text), text)
		}
	}
	w.check(t, &l)
	t.Logf("%d requests; %d lost, of them %d on their way into a handler", len(l.tried)+len(held.tried), lost, underWay)
}

// noticed waits until NATS gives the room nothing more: a moment passes between the
// end of a process and that of its subscriptions.
func (c *cluster) noticed(t *testing.T, room string) {
	t.Helper()
	nc, err := nats.Connect(c.nats)
	require.NoError(t, err)
	defer nc.Close()
	require.Eventually(t, func() bool {
		_, err := nc.Request("cereus/servers/room/"+room, nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	}, patience, time.Millisecond)
}

// gone reports whether an error says that there was no answer.
func gone(err error) bool {
	return errors.Is(err, errs.ErrTimeout) || errors.Is(err, errs.ErrUnavailable)
}

func (l *load) failed(text string) bool {
	for _, a := range l.tried {
		if a.text == text {
			return a.err != nil
		}
	}
	return false
}

// begun is what the process reported by trace before it ended.
func (p *process) begun() map[string]bool {
	<-p.drained
	texts := make(map[string]bool)
	for _, line := range p.output() {
		if text, ok := strings.CutPrefix(line, "begun "); ok {
			texts[text] = true
		}
	}
	return texts
}
