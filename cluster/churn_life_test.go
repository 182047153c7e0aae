package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sampleEvery is how many snapshots of a view there are to one that is checked
// in full.
const sampleEvery = 37

// relistedFor begins the names of the counts of listings.
const relistedFor = "relisted: "

// life is one discovery from Init to its end and everything it said, which may be
// read when it has ended.
type life struct {
	name    string
	d       *EtcdDiscovery
	forgets bool // servers that are gone, after a second

	ended     sync.WaitGroup // of what reads it
	events    []Event        // by Follow, from the first
	followErr error
	heard     []Event // by a Listener
	heardSeq  atomic.Uint64

	// These are written by the goroutine of the view.
	moments []moment
	samples []*Snapshot

	mu     sync.Mutex // guards counts
	counts map[string]int
	deaths []error
}

// moment is one snapshot of a view.
type moment struct {
	revision int64
	seq      uint64
	listed   bool
}

func newLife(name string, p EtcdParams) (*life, error) {
	l := &life{name: name, counts: map[string]int{}, forgets: p.SuspectFor == time.Second}
	p.Metrics = l
	p.Die = func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.deaths = append(l.deaths, err)
	}
	d, err := NewEtcdDiscovery(p)
	l.d = d
	return l, err
}

// begin has the discovery follow etcd and be read.
func (l *life) begin(ctx context.Context) error {
	if err := l.d.Init(ctx); err != nil {
		return err
	}
	l.d.AddListener(l)
	l.ended.Go(l.follow)
	return nil
}

func (l *life) follow() {
	last := uint64(0)
	if n := len(l.events); n > 0 {
		last = l.events[n-1].Seq
	}
	for e, err := range l.d.Follow(context.Background(), last) {
		if err != nil {
			l.followErr = err
			return
		}
		l.events = append(l.events, e)
	}
}

// kill ends the process as SIGKILL does: nothing is said, the lease stays.
func (l *life) kill(ctx context.Context) error {
	run := l.d.link.Swap(nil)
	if run == nil {
		return nil
	}
	err := errors.Join(run.group.Stop(ctx), run.store.close())
	l.bury()
	return err
}

// close ends the process as it should end.
func (l *life) close(ctx context.Context) error {
	err := l.d.Shutdown(ctx)
	l.bury()
	return err
}

// bury reads the rest: what the view did while it was stopped came after the
// first reader was told that there was no more.
func (l *life) bury() {
	l.ended.Wait()
	l.follow()
}

func (l *life) add(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[name]++
}

// ServersPresent is called right after each new snapshot, by who made it.
func (l *life) ServersPresent(int) {
	s := l.d.Snapshot()
	l.moments = append(l.moments, moment{revision: s.revision, seq: s.seq, listed: byListing()})
	if len(l.moments)%sampleEvery == 1 {
		l.samples = append(l.samples, s)
	}
}

// byListing reports whether it is called within view.replace: nothing that the
// view keeps says so for certain.
func byListing() bool {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for frame, more := frames.Next(); ; frame, more = frames.Next() {
		if strings.HasSuffix(frame.Function, ".(*view).replace") {
			return true
		}
		if !more {
			return false
		}
	}
}

func (l *life) EntrySkipped()          { l.add("skipped") }
func (l *life) Relisted(reason string) { l.add(relistedFor + reason) }
func (l *life) LeaseLost()             { l.add("leases lost") }
func (l *life) ListenerPanicked()      { l.add("panics") }

func (l *life) AddServer(e Event)     { l.hear(e) }
func (l *life) RemoveServer(e Event)  { l.hear(e) }
func (l *life) UpdateServer(e Event)  { l.hear(e) }
func (l *life) LeaderChanged(e Event) { l.hear(e) }

func (l *life) hear(e Event) {
	l.heard = append(l.heard, e)
	l.heardSeq.Store(e.Seq)
}

// id is whose life it was; "" is an observer's.
func (l *life) id() string {
	if l.d.params.Self == nil {
		return ""
	}
	return l.d.params.Self.ID
}

// end is the place of the last thing that was told.
func (l *life) end() Event {
	return Event{Revision: l.d.Snapshot().Revision(), Seq: l.d.Snapshot().Seq()}
}

// lines is the last events about an id or a type, up to a place.
func (l *life) lines(about string, seq uint64, limit int) []string {
	var lines []string
	for _, e := range l.events {
		if t := toldOf(e); e.Seq <= seq && (t.id == about || t.serverType == about) {
			lines = append(lines, fmt.Sprintf("#%d %+v", e.Seq, t))
		}
	}
	return lines[max(0, len(lines)-limit):]
}
