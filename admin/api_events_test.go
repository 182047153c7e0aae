package admin_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/admin"
	"github.com/cereus-game/cereus/cluster"
)

func TestEventsInOrder(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	d := inEtcd(t, endpoint, server("room", "r1"))
	gate := inEtcd(t, endpoint, server("gate", "g1"))
	eventually(t, func() bool { return sees(d, "r1")() && sees(d, "g1")() }, "both are there")
	o := serveAPI(t, d)
	l := o.listen("", "")
	l.onServers = true
	require.Equal(t, "no-store, no-transform", l.res.Header.Get("Cache-Control"))
	require.Equal(t, "no", l.res.Header.Get("X-Accel-Buffering"))

	for _, want := range []string{"up g1 present", "up r1 present"} {
		m, err := l.next()
		require.NoError(t, err)
		require.Equal(t, want, m.who())
		require.Empty(t, m.id, "a part of the list is nothing to go on from")
	}
	m, err := l.next()
	require.NoError(t, err)
	require.Equal(t, "current", m.who())
	require.NotEmpty(t, m.id)
	require.GreaterOrEqual(t, d.Snapshot().Revision(), m.data.Revision)

	late := inEtcd(t, endpoint, server("room", "r2"))
	l.hears("up r2 joined")
	require.Equal(t, http.StatusOK, o.patch("/v1/services/room/instances/r2", `{"weight":9,"state":"busy"}`).status)
	m, err = l.next()
	require.NoError(t, err)
	require.Equal(t, "update r2 changed", m.who())
	require.Equal(t, "busy", m.data.Server.State)
	require.Equal(t, "up", m.data.Before.State)
	require.Equal(t, 9, m.data.Server.Weight)
	s, _ := d.Server("r2")
	require.Equal(t, s.Revision, m.data.Revision)
	require.Equal(t, s.Revision, m.data.Server.Revision)
	d.Suspect("g1")
	l.hears("update g1 unreachable")
	d.Trust("g1")
	l.hears("update g1 reachable")
	require.NoError(t, late.Deregister(testContext(t)))
	l.hears("down r2 left")
	require.NoError(t, gate.Deregister(testContext(t)))
	require.NoError(t, gate.Register(testContext(t)))
	l.hears("down g1 left", "up g1 returned")
	require.NoError(t, d.Shutdown(testContext(t)))
	for err == nil {
		_, err = l.next()
	}
	require.ErrorIs(t, err, io.EOF, "the stream ends with the discovery")
}

func TestEventsOfLeaders(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	d := inEtcd(t, endpoint, nil)
	first := inEtcd(t, endpoint, server("room", "r1"))
	eventually(t, func() bool { l, ok := d.Snapshot().Leader("room"); return ok && l.ID == "r1" }, "it leads")
	second := inEtcd(t, endpoint, server("room", "r2"))
	o := serveAPI(t, d)
	const path = "/v1/services/room/leader"
	r := o.get(path)
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, "r1", r.at(t, "leader", "id"))
	require.Equal(t, false, r.at(t, "leader", "by_hand"))
	l := o.listen("?type=room", "")
	var tokens []int64
	next := func() (who string, token int64) {
		for {
			m, err := l.next()
			require.NoError(t, err)
			if m.kind == "leader" && m.data.Reason != string(cluster.ReasonVacant) {
				return m.who(), m.data.Token
			}
		}
	}
	leads := func(want string) {
		t.Helper()
		who, token := next()
		require.Equal(t, want, who)
		tokens = append(tokens, token)
	}
	leads("leader r1 elected")

	r = o.do(http.MethodPut, path, `{"id":"r2"}`)
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, "r2", r.at(t, "leader", "id"))
	require.Equal(t, true, r.at(t, "leader", "by_hand"))
	leads("leader r2 chosen")
	require.EqualValues(t, tokens[1], r.at(t, "leader", "token"))
	o.listen("", "").hears("up r1 present", "up r2 present", "leader r2 chosen", "current")
	eventually(t, second.IsLeader, "it knows")
	require.Equal(t, map[string]any{"id": "r2", "token": float64(tokens[1]), "by_hand": true}, o.get("/v1/services/room").at(t, "service", "leader"))

	require.Equal(t, http.StatusOK, o.do(http.MethodDelete, path, "").status)
	who, token := next()
	for token == tokens[1] { // that it is nobody's choice any more may be told first
		who, token = next()
	}
	require.Equal(t, "leader r1 elected", who)
	tokens = append(tokens, token)
	require.IsIncreasing(t, tokens)
	eventually(t, first.IsLeader, "back to the first")

	require.Equal(t, http.StatusNotFound, o.do(http.MethodPut, path, `{"id":"r3"}`).status)
	require.Equal(t, http.StatusOK, o.patch("/v1/services/room/instances/r2", `{"state":"paused"}`).status)
	eventually(t, func() bool { s, _ := d.Server("r2"); return s.State == cluster.StatePaused }, "the view came to it")
	r = o.do(http.MethodPut, path, `{"id":"r2"}`)
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body["error"], "paused")
}

func TestEventsOfOneType(t *testing.T) {
	t.Parallel()
	registry := cluster.NewMemoryRegistry()
	d := inMemory(t, registry, server("room", "r1"))
	gate := inMemory(t, registry, server("gate", "g1"))
	require.NoError(t, d.SyncServers(testContext(t)))
	o := serve(t, admin.Params{Token: token, Discovery: d}.WithPace(0, 20*time.Millisecond, 0))
	l := o.listen("?type=room", "")
	l.hears("up r1 present", "current")
	require.NoError(t, gate.Edit(testContext(t), weigh(1)))
	require.NoError(t, d.SyncServers(testContext(t)))
	past := fmt.Sprint(d.Snapshot().Seq())
	for !strings.HasSuffix(l.last, "-"+past) { // what is not told moves the id on
		text, err := l.block()
		require.NoError(t, err)
		_, told := l.parse(text)
		require.False(t, told, "%s", text)
		require.Contains(t, string(text), ": still here\n")
	}
	require.NoError(t, d.Edit(testContext(t), weigh(2)))
	l.hears("update r1 changed")
}

func weigh(n int) cluster.Edit { return cluster.Edit{Weight: &n} }

// record is what a listener hears.
type record struct {
	mu    sync.Mutex // guards heard
	heard []cluster.Event
}

func (r *record) add(e cluster.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, e)
}

func (r *record) AddServer(e cluster.Event)     { r.add(e) }
func (r *record) RemoveServer(e cluster.Event)  { r.add(e) }
func (r *record) UpdateServer(e cluster.Event)  { r.add(e) }
func (r *record) LeaderChanged(e cluster.Event) { r.add(e) }

func idOf(s *cluster.Server) string {
	if s == nil {
		return ""
	}
	return " " + s.ID
}

// after is what was heard after a place, in short.
func (r *record) after(seq uint64) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.heard {
		if e.Seq > seq {
			list = append(list, fmt.Sprintf("%d %s%s %s %d", e.Seq, e.Kind, idOf(e.Server), e.Reason, e.Revision))
		}
	}
	return list
}

// A client that is cut off again and again hears everything, once and in order.
func TestEventsResumeWithoutGap(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	d := inEtcd(t, endpoint, server("room", "r0"))
	heard := &record{}
	d.AddListener(heard)
	eventually(t, sees(d, "r0"), "joined")
	o := serveAPI(t, d)
	l := o.listen("", "")
	m := message{}
	for m.kind != "current" {
		m, _ = l.next()
	}
	var err error
	var from uint64
	_, err = fmt.Sscanf(m.id[strings.LastIndexByte(m.id, '-')+1:], "%d", &from)
	require.NoError(t, err)

	var churn sync.WaitGroup
	for n := range 4 {
		other := inEtcd(t, endpoint, server("room", fmt.Sprintf("r%d", n+1)))
		churn.Go(func() {
			for round := range 40 {
				require.NoError(t, other.Edit(testContext(t), weigh(round+1)))
				if round%10 == 9 {
					require.NoError(t, other.Deregister(testContext(t)))
					require.NoError(t, other.Register(testContext(t)))
				}
			}
		})
	}
	quiet := make(chan struct{})
	go func() {
		churn.Wait()
		_ = d.Edit(context.Background(), cluster.Edit{State: cluster.StateDraining}) // the last word
		close(quiet)
	}()
	var got []string
	connections := 1
	for last := false; !last; {
		for range rand.IntN(6) {
			m, err := l.next()
			require.NoError(t, err)
			seq := m.id[strings.LastIndexByte(m.id, '-')+1:]
			got = append(got, fmt.Sprintf("%s %s %d", seq, m.who(), m.data.Revision))
			if last = m.kind == "update" && m.data.Server.ID == "r0"; last {
				break
			}
		}
		if !last {
			l.close()
			l = o.listen("", l.last)
			connections++
		}
	}
	<-quiet
	eventually(t, func() bool { return len(heard.after(from)) >= len(got) }, "the listener heard it, too")
	require.Equal(t, heard.after(from)[:len(got)], got)
	t.Logf("%d events over %d connections", len(got), connections)
}

func TestEventsThatCannotBeResumed(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	o := serveAPI(t, d)
	l := o.listen("", "")
	l.hears("up r1 present", "current")
	nonce, _, _ := strings.Cut(l.last, "-")
	l.close()
	for _, id := range []string{
		"other-1", nonce, nonce + "-", nonce + "-x", nonce + "--1", nonce + "-99", nonce + "-18446744073709551616", "-", "\"", strings.Repeat("9", 3000),
	} {
		l := o.listen("", id)
		l.hears("up r1 present", "current")
		l.close()
	}
	for n := range 8300 { // more than is remembered
		require.NoError(t, d.Edit(testContext(t), weigh(n%2+1)))
		if n%1000 == 0 {
			require.NoError(t, d.SyncServers(testContext(t)))
		}
	}
	require.NoError(t, d.SyncServers(testContext(t)))
	for d.Snapshot().Seq() < 8300 { // what happens at once is told at once
		require.NoError(t, d.Edit(testContext(t), weigh(int(d.Snapshot().Seq()%2)+3)))
		require.NoError(t, d.SyncServers(testContext(t)))
	}
	o.listen("", nonce+"-1").hears("up r1 present", "current")
}

// scripted is a discovery with events of its own.
type scripted struct {
	*cluster.MemoryDiscovery

	follow func(ctx context.Context, afterSeq uint64) iter.Seq2[cluster.Event, error]
}

func (s scripted) Follow(ctx context.Context, afterSeq uint64) iter.Seq2[cluster.Event, error] {
	return s.follow(ctx, afterSeq)
}

// A reader whose place is forgotten while it reads is cut off, and told all when it
// comes back.
func TestEventsOfAReaderThatFellBehind(t *testing.T) {
	t.Parallel()
	known := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	at := known.Snapshot().Seq()
	d := scripted{known, func(ctx context.Context, afterSeq uint64) iter.Seq2[cluster.Event, error] {
		return func(yield func(cluster.Event, error) bool) {
			r1, _ := known.Server("r1")
			if afterSeq > at {
				yield(cluster.Event{}, cluster.ErrHistoryGone)
			} else if yield(cluster.Event{Kind: cluster.EventLeader, Reason: cluster.ReasonChosen, Type: "room", Server: r1, Token: 7, Seq: at + 1}, nil) &&
				yield(cluster.Event{Kind: cluster.EventLeader, Reason: cluster.ReasonVacant, Type: "room", Seq: at + 2}, nil) {
				yield(cluster.Event{}, cluster.ErrHistoryGone)
			}
		}
	}}
	o := serveAPI(t, d)
	l := o.listen("", "")
	l.hears("up r1 present", "current")
	m, err := l.next()
	require.NoError(t, err)
	require.Equal(t, "leader r1 chosen", m.who())
	require.EqualValues(t, 7, m.data.Token)
	l.hears("leader vacant")
	_, err = l.next()
	require.ErrorIs(t, err, io.EOF)
	o.listen("", l.last).hears("up r1 present", "current")
}

// big is an edit that nobody's buffers take for long.
func big(n int) cluster.Edit {
	text := strings.Repeat(string(rune('a'+n%26)), 60_000)
	return cluster.Edit{Metadata: map[string]*string{"big": &text}}
}

func TestEventsSlowReaderIsCutOffAndOthersGoOn(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	p := admin.Params{Token: token, Discovery: d}.WithPace(2, 0, 0)
	o := serve(t, p)
	slow, quick := o.slow().listen("", ""), o.listen("", "")
	slow.hears("up r1 present", "current")
	quick.hears("up r1 present", "current")
	require.Equal(t, http.StatusServiceUnavailable, o.get("/v1/events").status)
	const rounds = 200
	go func() {
		for n := range rounds {
			_ = d.Edit(context.Background(), big(n))
			_ = d.SyncServers(context.Background())
			runtime.Gosched()
		}
	}()
	for range rounds {
		quick.hears("update r1 changed")
	}
	// The place of the slow one is free when it is cut off.
	eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		res := o.send(ctx, http.MethodHead, "/v1/events", "")
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, "the slow one is gone")
	again := o.listen("", slow.last)
	for range rounds {
		again.hears("update r1 changed")
	}
}

func TestEventsEndAtShutdown(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	s := admin.New(admin.Params{Address: "0", Token: token, Discovery: d}.WithPace(0, 0, time.Hour))
	require.NoError(t, s.Init(t.Context()))
	o := newOperator(t, "http://"+s.Addr().String())
	idle := o.listen("", "")
	o.slow().listen("", "")
	idle.hears("up r1 present", "current")
	for n := range 200 { // until nothing more fits between here and the one that does not read
		require.NoError(t, d.Edit(testContext(t), big(n)))
		require.NoError(t, d.SyncServers(testContext(t)))
		idle.hears("update r1 changed")
	}
	before := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.Less(t, time.Since(before), 5*time.Second)
	_, err := idle.next()
	require.ErrorIs(t, err, io.EOF, "a good end")
}

func TestEventsStreamsAreFew(t *testing.T) {
	t.Parallel()
	o := serveAPI(t, inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")))
	var streams []*listening
	for range 64 {
		streams = append(streams, o.listen("", ""))
	}
	r := o.get("/v1/events")
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, o.get("/v1/services").status)
	streams[10].close()
	eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		res := o.send(ctx, http.MethodGet, "/v1/events", "")
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, "there is a place again")
}

// The server's own limits on reading a request do not end a stream.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	o := serve(t, admin.Params{Token: token, Discovery: d}.WithPace(0, 500*time.Millisecond, 0))
	l := o.listen("", "")
	l.hears("up r1 present", "current")
	for began := time.Now(); time.Since(began) < 11*time.Second; {
		text, err := l.block()
		require.NoError(t, err)
		require.Contains(t, string(text), ": still here\n")
	}
	require.NoError(t, d.Edit(testContext(t), weigh(1)))
	l.hears("update r1 changed")
}
