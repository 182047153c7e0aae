package admin

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// Bounds of streams of events.
const (
	// maxStreams is how many there may be.
	maxStreams = 64
	// heartbeat is how long a stream is silent at most.
	heartbeat = 15 * time.Second
	// streamWriteTimeout is how long a reader may take no byte of what is written.
	streamWriteTimeout = 5 * time.Second
	// listChunk is about how much of the first list is written at a time, in bytes.
	listChunk = 32 << 10
)

// streamPace is those bounds, for tests to change.
type streamPace struct {
	streams          int
	heartbeat, write time.Duration
}

func (p streamPace) withDefaults() streamPace {
	return streamPace{cmp.Or(p.streams, maxStreams), cmp.Or(p.heartbeat, heartbeat), cmp.Or(p.write, streamWriteTimeout)}
}

// events answers GET /v1/events.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	serverType, err := filterOf(r.URL.RawQuery)
	if err != nil {
		refuse(w, err)
		return
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		refuse(w, problem{http.StatusServiceUnavailable, "there are " + strconv.Itoa(a.pace.streams) + " streams already: end one, or try again later"})
		return
	}
	f := follower{api: a, serverType: serverType, out: newStream(w, a.pace.write)}
	if r.Method == http.MethodHead {
		return
	}
	release := f.out.cutWith(r.Context())
	defer release()
	f.serve(r.Context(), r.Header.Get("Last-Event-ID"))
}

// filterOf is the one type to tell of that a query asks for; "" is all. What it does
// not understand it refuses, rather than tell everything.
func filterOf(query string) (serverType string, err error) {
	values, err := url.ParseQuery(query)
	types := values["type"]
	delete(values, "type")
	if err != nil || len(values) > 0 || len(types) > 1 {
		return "", badRequest("the query: use ?type= and one type of server, or none for all")
	}
	if len(types) == 0 {
		return "", nil
	}
	return types[0], checkName("type", types[0])
}

// follower tells one client of events.
type follower struct {
	api        *api
	serverType string // the only one to tell of; "" is all
	out        *stream
	seq        uint64 // place in the history up to which the client knows everything
}

// serve ends when ctx does, or the client cannot be told on.
func (f *follower) serve(ctx context.Context, lastID string) {
	f.out.begin()
	if f.out.flush(ctx) != nil {
		return
	}
	if from, ok := f.api.seqOf(lastID); ok {
		f.seq = from
		if err := f.follow(ctx); !errors.Is(err, cluster.ErrHistoryGone) || f.seq != from {
			return // a client that was told something asks again, with what it knows then
		}
	}
	if f.list(ctx) == nil {
		_ = f.follow(ctx) // nobody is there to be told why it ended
	}
}

// idOf is the id of an event. It means something to this process only.
func (a *api) idOf(seq uint64) string { return a.nonce + "-" + strconv.FormatUint(seq, 10) }

// seqOf is the reverse.
func (a *api) seqOf(id string) (uint64, bool) {
	text, ours := strings.CutPrefix(id, a.nonce+"-")
	seq, err := strconv.ParseUint(text, 10, 64)
	return seq, ours && err == nil
}

// list tells what is there. Nothing but its end has an id: a client that heard only
// a part of it is told all of it again.
func (f *follower) list(ctx context.Context) error {
	s := f.api.discovery.Snapshot()
	for _, server := range s.Servers() {
		f.append("", cluster.Event{
			Kind: cluster.EventUp, Reason: cluster.ReasonPresent, Type: server.Type, Server: server, Revision: s.Revision(),
		})
		if len(f.out.buf) >= listChunk {
			if err := f.out.flush(ctx); err != nil {
				return err
			}
		}
	}
	for _, serverType := range s.Types() {
		if l, ok := s.Leader(serverType); ok {
			f.append("", presentLeader(s, l))
		}
	}
	f.seq = s.Seq()
	f.out.append("current", f.api.idOf(f.seq), f.api.stamp(s))
	return f.out.flush(ctx)
}

func presentLeader(s *cluster.Snapshot, l cluster.Leader) cluster.Event {
	e := cluster.Event{Kind: cluster.EventLeader, Reason: cluster.ReasonElected, Type: l.Type, Token: l.Token, Revision: s.Revision()}
	if l.ByHand {
		e.Reason = cluster.ReasonChosen
	}
	e.Server, _ = s.Server(l.ID)
	return e
}

// follow tells what happens after f.seq until ctx ends, the client is too slow, or
// the history cannot be had. A stream that would be silent for too long says so
// and begins again where it was.
func (f *follower) follow(ctx context.Context) error {
	for {
		beat, cancel := context.WithTimeout(ctx, f.api.pace.heartbeat)
		err := f.tail(ctx, f.api.discovery.Follow(beat, f.seq))
		cancel()
		if err != nil {
			return err
		}
		// Between events that are not told, the id moves on with the heartbeat, so that
		// it does not grow too old to be resumed from.
		f.out.heartbeat(f.api.idOf(f.seq))
		if err := f.out.flush(ctx); err != nil {
			return err
		}
	}
}

func (f *follower) tail(ctx context.Context, events func(func(cluster.Event, error) bool)) error {
	for e, err := range events {
		if err != nil {
			return err
		}
		f.seq = e.Seq
		if f.serverType != "" && f.serverType != e.Type {
			continue
		}
		f.append(f.api.idOf(e.Seq), e)
		if err := f.out.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// eventJSON is the data of an event.
type eventJSON struct {
	Type     string         `json:"type"`
	Reason   cluster.Reason `json:"reason"`
	Revision int64          `json:"revision"`
	Server   *instanceJSON  `json:"server"` // null: the type has no leader
	Before   *instanceJSON  `json:"before,omitempty"`
	Token    int64          `json:"token,omitempty"`
}

func (f *follower) append(id string, e cluster.Event) {
	if f.serverType != "" && f.serverType != e.Type {
		return
	}
	f.out.append(string(e.Kind), id, eventJSON{
		Type: e.Type, Reason: e.Reason, Revision: e.Revision, Token: e.Token,
		Server: newInstanceJSON(e.Server), Before: newInstanceJSON(e.Before),
	})
}

// comeBackAfter is when a client should come back, in milliseconds: not all at once.
func comeBackAfter() int { return 500 + rand.IntN(1000) }
