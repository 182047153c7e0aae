package cluster

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestMergeModel runs a move between two links with random timing, and checks
// that every message of every publisher comes out once and in order.
func TestMergeModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newMergeModel(t)
		for range rapid.IntRange(0, 40).Draw(t, "before") {
			m.step(t)
		}
		m.begin()
		for range rapid.IntRange(0, 40).Draw(t, "spreading") {
			m.step(t)
		}
		m.propagate()
		for range rapid.IntRange(0, 40).Draw(t, "both") {
			m.step(t)
		}
		m.drainOld()
		m.merge.cut()
		for range rapid.IntRange(0, 40).Draw(t, "after") {
			m.step(t)
		}
		m.drainNew()
		m.check(t)
	})
}

const mergePublishers = 3

// mergeModel is what the network does: per publisher and link a queue of what is
// on its way. The new link hears a publisher from when its interest is known.
type mergeModel struct {
	flow     *natsFlow
	merge    *natsMerge
	old, new *natsLink
	replies  bool
	sent     [mergePublishers]int
	known    [mergePublishers]bool // the new link's interest is known to the publisher's node
	onOld    [mergePublishers][]*nats.Msg
	onNew    [mergePublishers][]*nats.Msg
	got      [mergePublishers][]int
}

func newMergeModel(t *rapid.T) *mergeModel {
	m := &mergeModel{old: new(natsLink), new: new(natsLink), replies: rapid.Bool().Draw(t, "replies")}
	m.flow = &natsFlow{out: func(msg *nats.Msg) {
		publisher, _ := strconv.Atoi(msg.Subject)
		number, _ := strconv.Atoi(string(msg.Data))
		m.got[publisher] = append(m.got[publisher], number)
	}}
	m.flow.owner.Store(m.old)
	return m
}

func (m *mergeModel) begin() {
	m.merge = newNATSMerge(m.flow, m.old, m.new)
	m.flow.merge.Store(m.merge)
}

func (m *mergeModel) propagate() {
	for p := range m.known {
		m.known[p] = true
	}
	m.merge.spread()
}

// step has one thing happen: a publication, an arrival, or interest spreading.
func (m *mergeModel) step(t *rapid.T) {
	p := rapid.IntRange(0, mergePublishers-1).Draw(t, "publisher")
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0, 1:
		m.publish(p)
	case 2:
		m.arrive(m.old, &m.onOld[p])
	case 3:
		m.arrive(m.new, &m.onNew[p])
	case 4:
		m.known[p] = m.known[p] || m.merge != nil
	}
}

func (m *mergeModel) publish(p int) {
	m.sent[p]++
	msg := &nats.Msg{Subject: strconv.Itoa(p), Data: []byte(strconv.Itoa(m.sent[p]))}
	if m.replies {
		msg.Reply = "_INBOX." + msg.Subject + "." + string(msg.Data)
	}
	m.onOld[p] = append(m.onOld[p], msg)
	if m.known[p] {
		m.onNew[p] = append(m.onNew[p], msg)
	}
}

func (m *mergeModel) arrive(link *natsLink, queue *[]*nats.Msg) {
	if len(*queue) > 0 {
		msg := (*queue)[0]
		*queue = (*queue)[1:]
		m.flow.receive(link, msg)
	}
}

// drainOld is flush and barrier: whatever is on its way to the old link arrives.
func (m *mergeModel) drainOld() {
	for p := range m.onOld {
		for len(m.onOld[p]) > 0 {
			m.arrive(m.old, &m.onOld[p])
		}
	}
}

func (m *mergeModel) drainNew() {
	for p := range m.onNew {
		for len(m.onNew[p]) > 0 {
			m.arrive(m.new, &m.onNew[p])
		}
	}
	m.drainOld()
}

func (m *mergeModel) check(t *rapid.T) {
	for p, got := range m.got {
		if len(got) != m.sent[p] {
			t.Fatalf("publisher %d sent %d, delivered %v", p, m.sent[p], got)
		}
		for i, number := range got {
			if number != i+1 {
				t.Fatalf("publisher %d: out of order: %v", p, got)
			}
		}
	}
}

// Equal messages without a reply subject are not mistaken for copies of each
// other: as many come out as were sent.
func TestMergeCountsEqualMessages(t *testing.T) {
	t.Parallel()
	oldLink, newLink := new(natsLink), new(natsLink)
	n := 0
	flow := &natsFlow{out: func(*nats.Msg) { n++ }}
	merge := newNATSMerge(flow, oldLink, newLink)
	flow.merge.Store(merge)
	tick := &nats.Msg{Subject: "tick"}
	flow.receive(oldLink, tick) // both copies
	flow.receive(newLink, tick)
	merge.spread()
	for range 3 {
		flow.receive(oldLink, tick)
		flow.receive(newLink, tick)
	}
	flow.receive(newLink, tick) // comes on the old link after the cut
	merge.cut()
	flow.receive(oldLink, tick)
	flow.receive(newLink, tick) // another one
	require.Equal(t, 6, n)
}

// The cut waits for the old link's callback, so that one goroutine at a time
// delivers.
func TestMergeCutWaitsForTheDeliveryUnderWay(t *testing.T) {
	t.Parallel()
	oldLink, newLink := new(natsLink), new(natsLink)
	entered, release := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var order []string
	flow := &natsFlow{out: func(m *nats.Msg) {
		if m.Subject == "slow" {
			close(entered)
			<-release
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, m.Subject)
	}}
	merge := newNATSMerge(flow, oldLink, newLink)
	flow.merge.Store(merge)
	var work sync.WaitGroup
	work.Go(func() { flow.receive(oldLink, &nats.Msg{Subject: "slow", Reply: "_INBOX.1"}) })
	<-entered
	flow.receive(newLink, &nats.Msg{Subject: "slow", Reply: "_INBOX.1"})
	flow.receive(newLink, &nats.Msg{Subject: "next", Reply: "_INBOX.2"})
	work.Go(merge.cut)
	require.Eventually(t, func() bool {
		merge.mu.Lock()
		defer merge.mu.Unlock()
		return merge.phase == mergeReplaying
	}, rpcPatience, rpcPoll)
	close(release)
	work.Wait()
	require.Equal(t, []string{"slow", "next"}, order)
}

func TestNATSQueueIsBounded(t *testing.T) {
	t.Parallel()
	var pool bufferPool
	q := natsQueue{wake: make(chan struct{}, 1)}
	small := &buffer{b: make([]byte, 10), pool: &pool}
	for range natsQueueMessages {
		require.NoError(t, q.push(outgoing{body: small}))
	}
	require.ErrorIs(t, q.push(outgoing{body: small}), errQueueFull)
	batch, last := q.take()
	require.False(t, last)
	require.Len(t, batch, natsQueueMessages)
	big := &buffer{b: make([]byte, 1<<20), pool: &pool}
	for range natsQueueBytes >> 20 {
		require.NoError(t, q.push(outgoing{body: big}))
	}
	require.ErrorIs(t, q.push(outgoing{body: small}), errQueueFull)
	require.True(t, q.do(func() {}), "operations are always accepted")
	q.finish()
	require.ErrorIs(t, q.push(outgoing{body: small}), errStopped)
	_, last = q.take()
	require.False(t, last)
	_, last = q.take()
	require.True(t, last)
}

func TestPublishWhileAwayNeverWaits(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	transport := natsTransport(t, nodes.NATSURL(), "front", nil)
	require.NoError(t, nodes.StopNATS(t.Context(), 0))
	require.Eventually(t, func() bool { return !transport.status().connected }, rpcPatience, rpcPoll)
	client := newTestClient(t, transport, 0)
	for range rand.N(100) {
		_, err := client.Call(t.Context(), backendServer("back-1"), userRequest("a.b", nil))
		require.ErrorIs(t, err, errNotConnected)
	}
}
