package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"time"
)

const (
	// historySize is how many events are remembered.
	historySize = 8192
	// historyBatch is how many are read at a time.
	historyBatch = 128
	// maxLeaps is how many leaps are remembered; with the oldest goes what was before it.
	maxLeaps = 1024
	// toldWithin is how long the watch may take to tell what a listing may have left out.
	toldWithin = time.Second
)

// ErrHistoryGone is what Changes and Follow yield when they cannot tell
// just what happened since the place asked for: it is too long ago, the consumer
// fell behind by more than 8,192 events, etcd's revision went backwards, this
// process did not watch at the revision asked for and listed only later, or it heard
// at once of several changes of one server, of which some were after that revision
// and some were not. Take a new Snapshot and Follow from there.
var ErrHistoryGone = errors.New("the history of service discovery does not reach back that far")

// history is the last events, in order. The feed's lock guards it.
type history struct {
	ring []Event // the event with Seq n is at (n-1) % historySize
	last uint64  // Seq of the youngest

	// A revision means something within one generation: the time since the view was
	// first complete, or since etcd's revision went backwards.
	generation int
	start      uint64 // Seq of the last event before this generation
	floor      int64  // the changes after this revision, and later ones, are all here
	latest     int64  // revision of the youngest event of this generation
	leaps      []leap // those above floor, in order; none reaches into the next
	// pending is where a listing found no change while the watch goes on, as far as
	// that has not told yet whether something came and went.
	pending leap
}

// leap is where the history goes from one revision to a later one: by a listing,
// or because a watch told of both at once. When between them a change was, it does
// not say.
type leap struct{ from, to int64 }

// has reports whether a revision lies within the leap.
func (l leap) has(revision int64) bool { return l.from < revision && revision < l.to }

// empty reports whether no revision does.
func (l leap) empty() bool { return l.to-l.from < 2 }

// reset begins a generation whose view is of a revision.
func (h *history) reset(revision int64) {
	h.generation++
	h.start, h.floor, h.latest, h.leaps, h.pending = h.last, revision, 0, nil, leap{}
}

// leap adds one that ends where the last one does, or later.
func (h *history) leap(l leap) {
	if l.empty() {
		return
	}
	for n := len(h.leaps); n > 0 && h.leaps[n-1].to > l.from; n-- {
		l = leap{from: min(l.from, h.leaps[n-1].from), to: max(l.to, h.leaps[n-1].to)}
		h.leaps = h.leaps[:n-1]
	}
	if h.leaps = append(h.leaps, l); len(h.leaps) > maxLeaps {
		h.floor = max(h.floor, h.leaps[0].to)
		h.leaps = h.leaps[1:]
	}
}

// bridge adds one to what the watch has to tell.
func (h *history) bridge(l leap) {
	if h.pending != (leap{}) {
		l.from = h.pending.from
	}
	if !l.empty() {
		h.pending = l
	}
}

// told takes off what the watch has told and reports whether that is news.
func (h *history) told(revision int64) bool {
	if revision <= h.pending.from {
		return false
	}
	news := h.pending != leap{}
	if h.pending.from = revision; h.pending.empty() {
		h.pending = leap{}
	}
	return news
}

// add gives the event its place.
func (h *history) add(e *Event) {
	h.last++
	e.Seq, e.Revision = h.last, max(e.Revision, h.latest)
	h.latest = e.Revision
	if len(h.ring) < historySize {
		h.ring = append(h.ring, *e)
		return
	}
	place := &h.ring[(h.last-1)%historySize]
	if place.Seq > h.start {
		h.floor = max(h.floor, place.Revision)
	}
	*place = *e
	for len(h.leaps) > 0 && h.leaps[0].to <= h.floor {
		h.leaps = h.leaps[1:]
	}
}

// cursor is how far somebody has read.
type cursor struct {
	seq        uint64
	generation int // the only one it may read; 0 is any
}

// since is the place after which everything of a higher revision is.
func (h *history) since(revision int64) (cursor, error) {
	within := func(l leap) bool { return l.has(revision) }
	if revision < h.floor || within(h.pending) || slices.ContainsFunc(h.leaps, within) {
		return cursor{}, ErrHistoryGone
	}
	oldest := max(h.start, h.last-uint64(len(h.ring))) + 1
	n := sort.Search(int(h.last+1-oldest), func(n int) bool {
		return h.ring[(oldest+uint64(n)-1)%historySize].Revision > revision
	})
	return cursor{seq: oldest + uint64(n) - 1, generation: h.generation}, nil
}

// read is a copy of the next events after c; none when there are none yet.
func (h *history) read(c cursor) ([]Event, error) {
	lost := c.seq+uint64(len(h.ring)) < h.last || c.seq > h.last
	if lost || c.generation != 0 && c.generation != h.generation {
		return nil, ErrHistoryGone
	}
	n := min(h.last-c.seq, historyBatch)
	batch := make([]Event, 0, n)
	for i := range n {
		batch = append(batch, h.ring[(c.seq+i)%historySize])
	}
	return batch, nil
}

// read is what comes after c and, when that is nothing, a channel that is closed
// when there may be more.
func (f *feed) read(c cursor) ([]Event, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch, err := f.history.read(c)
	if err != nil || len(batch) > 0 {
		return batch, nil, err
	}
	return nil, f.awaitMore(), nil
}

// running is done when no more events come; nil when none can come yet.
func (f *feed) running() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.group == nil {
		return nil
	}
	return f.group.Context().Done()
}

// after is read for who is not told when no more events come.
func (f *feed) after(seq uint64) ([]Event, <-chan struct{}, error) {
	ended := f.running()
	if ended == nil {
		return nil, nil, ErrNotRunning
	}
	over := isClosed(ended) // before reading: what came last is told
	events, more, err := f.read(cursor{seq: seq})
	if over && err == nil && len(events) == 0 {
		return nil, nil, ErrNotRunning
	}
	return events, more, err
}

// tail yields what comes after the place that begin finds.
func (f *feed) tail(ctx context.Context, begin func() (cursor, error)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ended := f.running()
		if ended == nil {
			yield(Event{}, ErrNotRunning)
			return
		}
		at, err := begin()
		for more := err == nil; more; {
			more, err = f.tailOn(ctx, ended, &at, yield)
		}
		if err != nil && ctx.Err() == nil {
			yield(Event{}, err)
		}
	}
}

// tailOn yields some events, or waits for there to be some, and reports whether
// to go on; when not, the error is what remains to be told.
func (f *feed) tailOn(ctx context.Context, ended <-chan struct{}, at *cursor, yield func(Event, error) bool) (bool, error) {
	over := isClosed(ended)
	batch, wait, err := f.read(*at)
	switch {
	case err != nil:
		return false, err
	case len(batch) > 0:
		return at.yield(ctx, batch, yield), nil
	case over:
		return false, ErrNotRunning
	}
	select {
	case <-ctx.Done():
		return false, nil
	case <-ended:
	case <-wait:
	}
	return true, nil
}

// yield moves on with each event and reports whether the consumer took them all.
func (c *cursor) yield(ctx context.Context, batch []Event, yield func(Event, error) bool) bool {
	for _, e := range batch {
		if ctx.Err() != nil || !yield(e, nil) {
			return false
		}
		c.seq = e.Seq
	}
	return true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// since finds the place of a revision. One that the view has not reached is
// either known by somebody faster or of a history that etcd lost; sync tells the
// two apart.
func (f *feed) since(ctx context.Context, revision int64, sync func(context.Context) error) (cursor, error) {
	if revision > f.current.Load().revision {
		if err := sync(ctx); err != nil {
			return cursor{}, fmt.Errorf("%w: %w", ErrHistoryGone, err)
		}
		if revision > f.current.Load().revision {
			return cursor{}, ErrHistoryGone
		}
	}
	f.awaitTold(ctx, revision)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history.since(revision)
}

// awaitTold returns when the watch has told what was at a revision, or takes too long.
func (f *feed) awaitTold(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	for {
		f.mu.Lock()
		pending, more := f.history.pending.has(revision), f.awaitMore()
		f.mu.Unlock()
		if !pending {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

func (f *feed) changes(ctx context.Context, revision int64, sync func(context.Context) error) iter.Seq2[Event, error] {
	return f.tail(ctx, func() (cursor, error) { return f.since(ctx, revision, sync) })
}

func (f *feed) follow(ctx context.Context, seq uint64) iter.Seq2[Event, error] {
	return f.tail(ctx, func() (cursor, error) { return cursor{seq: seq}, nil })
}

// Changes yields what changed after a revision, such as a Snapshot has one, of
// this process or of another: first what is remembered of it, then what happens,
// until ctx ends or the consumer stops; then it just ends. What only this process
// noticed (ReasonUnreachable, ReasonReachable) comes in its place among the rest.
//
// It yields an error once, and ends: ErrHistoryGone when it cannot tell
// everything since then, ErrNotRunning before Init and, after all there was to
// tell, when Shutdown began. It runs on the consumer's goroutine and holds no
// lock meanwhile. Each range over it begins anew.
func (d *EtcdDiscovery) Changes(ctx context.Context, sinceRevision int64) iter.Seq2[Event, error] {
	return d.view.changes(ctx, sinceRevision, d.SyncServers)
}

// Follow is Changes by the Seq of a Snapshot or an Event of this process. What it
// yields after Snapshot().Seq() makes of that snapshot the next ones, without gap
// and without repetition. It goes on when etcd's revision goes backwards.
func (d *EtcdDiscovery) Follow(ctx context.Context, afterSeq uint64) iter.Seq2[Event, error] {
	return d.view.follow(ctx, afterSeq)
}

// After is one step of Follow, for who waits for more than that: up to 128 events
// after a place or, when there are none yet, a channel that is closed when there
// may be some. Shutdown does not close it. The errors are those of Follow.
func (d *EtcdDiscovery) After(seq uint64) (events []Event, more <-chan struct{}, err error) {
	return d.view.after(seq)
}

// Changes is EtcdDiscovery's, with the revision of the registry.
func (d *MemoryDiscovery) Changes(ctx context.Context, sinceRevision int64) iter.Seq2[Event, error] {
	return d.view.changes(ctx, sinceRevision, d.SyncServers)
}

// Follow is EtcdDiscovery's.
func (d *MemoryDiscovery) Follow(ctx context.Context, afterSeq uint64) iter.Seq2[Event, error] {
	return d.view.follow(ctx, afterSeq)
}
