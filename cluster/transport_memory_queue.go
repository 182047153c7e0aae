package cluster

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// memoryQueue holds what is on its way to one transport, ordered by the time it
// is due and then by the time it was sent.
type memoryQueue struct {
	mu    sync.Mutex // guards what follows
	items memoryHeap
	seq   uint64

	wake chan struct{} // room for one
}

func (q *memoryQueue) push(item memoryItem) {
	q.mu.Lock()
	q.seq++
	item.seq = q.seq
	heap.Push(&q.items, item)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// drop loses every message; barriers stay.
func (q *memoryQueue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.items[:0]
	for _, item := range q.items {
		if item.reached != nil {
			kept = append(kept, item)
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
	heap.Init(&q.items)
}

// barrier waits until everything that was queued undelayed for sub before has
// been delivered, or until one of the contexts ends; then the rest is dropped.
func (q *memoryQueue) barrier(ctx, running context.Context, sub *memorySubscription) error {
	reached := make(chan struct{})
	q.push(memoryItem{due: time.Now(), reached: reached})
	defer sub.ended.Store(true)
	select {
	case <-reached:
		return nil
	case <-running.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run delivers until ctx ends.
func (q *memoryQueue) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		item, wait := q.next(time.Now())
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-q.wake:
			case <-timer.C:
			}
			continue
		}
		item.deliver()
	}
}

// next takes the first item that is due, or says how long to wait for one.
func (q *memoryQueue) next(now time.Time) (memoryItem, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return memoryItem{}, time.Hour
	}
	if wait := q.items[0].due.Sub(now); wait > 0 {
		return memoryItem{}, wait
	}
	return heap.Pop(&q.items).(memoryItem), 0
}

func (i *memoryItem) deliver() {
	switch {
	case i.reached != nil:
		close(i.reached)
	case !i.sub.ended.Load():
		i.sub.subscription.deliver(i.message)
	}
}

// memoryHeap implements heap.Interface.
type memoryHeap []memoryItem

func (h memoryHeap) Len() int      { return len(h) }
func (h memoryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h memoryHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h *memoryHeap) Push(x any) { *h = append(*h, x.(memoryItem)) }
func (h *memoryHeap) Pop() any {
	last := len(*h) - 1
	item := (*h)[last]
	(*h)[last] = memoryItem{}
	*h = (*h)[:last]
	return item
}
