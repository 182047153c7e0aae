package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// spy is a Client that keeps what is pushed rather than to send it.
type spy struct {
	Client
	mu    sync.Mutex // guards the rest
	users []string
	lists []*clusterpb.Push
	kicks []string // on users' own subjects
	gone  []string // kicked with lists
	fail  func(*clusterpb.Push) error

	copied bool // what the last message on a user's own subject said
}

func (s *spy) PushToUser(kind, uid string, push *clusterpb.Push) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, kind+"/"+uid)
	s.copied = push.GetCopied()
	return s.fail(push)
}

func (s *spy) PushToFrontends(_ string, push *clusterpb.Push) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fail(push)
	if err == nil {
		s.lists = append(s.lists, push)
	}
	return err
}

func (s *spy) KickUser(kind, uid string, kick *clusterpb.KickMsg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, kind+"/"+uid)
	s.copied = kick.GetCopied()
	return s.fail(nil)
}

func (s *spy) KickOnFrontends(_ string, kick *clusterpb.KickMsg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, kick.GetUids()...)
	return s.fail(nil)
}

func (n *node) spied() *spy {
	s := &spy{Client: n.d.client, fail: func(*clusterpb.Push) error { return nil }}
	n.d.client = s
	return s
}

func uids(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("u%d", i))
	}
	return all
}

func TestPushPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room, front := w.start("room-1", "room"), w.start("front-1", "front")
	room.sees(front)
	s := room.spied()
	push := func(n int) ([]string, error) {
		return room.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: []byte("x")}, uids(n))
	}
	failed, err := push(1) // nobody listens on a user's own subject
	require.NoError(t, err)
	require.Empty(t, failed)
	require.Empty(t, s.users)
	require.Len(t, s.lists, 1)
	s.lists = nil
	failed, err = push(2*uidsPerMessage + 1) // one message for many
	require.NoError(t, err)
	require.Empty(t, failed)
	require.Len(t, s.lists, 3)
	require.Equal(t, "onX", s.lists[0].GetRoute())
	require.Equal(t, uids(2*uidsPerMessage + 1)[2*uidsPerMessage:], s.lists[2].GetUids())

	s.lists = nil // the list is cut until it fits beside the data
	s.fail = func(p *clusterpb.Push) error {
		if len(p.GetUids()) > 300 {
			return errs.ErrTooLarge
		}
		return nil
	}
	failed, err = push(1000)
	require.NoError(t, err)
	require.Empty(t, failed)
	var told []string
	for _, p := range s.lists {
		told = append(told, p.GetUids()...)
	}
	require.Equal(t, uids(1000), told)
	s.fail = func(*clusterpb.Push) error { return errs.ErrTooLarge } // data that never fits
	failed, err = push(10)
	require.ErrorIs(t, err, errs.ErrTooLarge)
	require.Equal(t, uids(10), failed)

	// With one frontend that does not know lists, those who do not know them get copies.
	w.adapt = func(s *cluster.Server) { s.Caps = nil }
	room.sees(w.start("front-2", "front"))
	s.users, s.lists = nil, nil
	s.fail = func(*clusterpb.Push) error { return nil }
	failed, err = push(3)
	require.NoError(t, err)
	require.Empty(t, failed)
	require.Equal(t, []string{"front/u0", "front/u1", "front/u2"}, s.users)
	require.Len(t, s.lists, 1)
	require.True(t, s.copied)
	s.kicks, s.gone = nil, nil
	_, err = room.d.KickUsers(t.Context(), "front", "", uids(2))
	require.NoError(t, err)
	require.Equal(t, []string{"front/u0", "front/u1"}, s.kicks)
	require.Equal(t, uids(2), s.gone)
	s.fail = func(p *clusterpb.Push) error { return errs.ErrUnavailable }
	failed, err = push(2)
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, uids(2), failed, "each once")

	s.users, s.lists, s.fail = nil, nil, func(*clusterpb.Push) error { return nil }
	w = newWorld(t) // where no frontend knows lists
	w.adapt = func(s *cluster.Server) { s.Caps = nil }
	lone := w.start("room-1", "room")
	lone.sees(w.start("front-1", "front"))
	s = lone.spied()
	broken := errors.New("broken")
	n := 0
	s.fail = func(*clusterpb.Push) error {
		if n++; n == 2 {
			return broken
		}
		return nil
	}
	failed, err = lone.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: []byte("x")}, uids(3))
	require.ErrorIs(t, err, broken)
	require.Equal(t, []string{"u1"}, failed)
	require.Empty(t, s.lists)
	require.False(t, s.copied)

	_, err = room.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: func() {}}, uids(1))
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
}

// seat is the entity of a session that keeps what it is told.
type seat struct {
	nowhere
	pool *session.Pool

	mu      sync.Mutex // guards the rest
	packets [][]byte
	kicked  chan struct{}
	fate    Fate
}

func (s *seat) WritePacket(p Packet) Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, p.Bytes)
	return s.fate
}

func (s *seat) heard() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.packets)
}

func (s *seat) Bind(ctx context.Context, x *session.Session, uid string) error {
	return s.pool.Bind(ctx, x, uid)
}

func (s *seat) Kick(_ context.Context, x *session.Session, reason string) error {
	close(s.kicked)
	x.Close(reason)
	return nil
}

// seated is a player of n that is bound to uid, unless that is empty.
func (w *world) seated(n *node, uid string) (*player, *seat) {
	st := &seat{pool: n.d.Pool, kicked: make(chan struct{})}
	p := &player{asked: make(map[uint32]bool), answers: make(map[uint64][]*errs.Error)}
	var err error
	p.s, err = session.New(session.Params{ID: n.d.Pool.NextID(), Frontend: n.self.ID, Entity: st})
	require.NoError(w.t, err)
	require.NoError(w.t, n.d.Pool.Add(p.s))
	p.inbox = n.d.NewInbox(p.s, p)
	if uid != "" {
		require.NoError(w.t, p.s.Bind(context.Background(), uid))
	}
	return p, st
}

func TestS24_PushToThoseWhoAreHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	front.sees(front)
	_, ann := w.seated(front, "ann")
	_, bob := w.seated(front, "bob")
	bob.fate = Gone
	s := front.spied()
	failed, err := front.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: map[string]int{"a": 1}}, []string{"ann", "bob", "carol"})
	require.NoError(t, err)
	require.Empty(t, failed, "others may hold them")
	require.Equal(t, []string{"bob", "carol"}, s.lists[0].GetUids())
	m, err := protocol.DecodeMessage(ann.packets[0][protocol.HeaderSize:], protocol.Decoding{})
	require.NoError(t, err)
	require.Equal(t, protocol.MessagePush, m.Type)
	require.JSONEq(t, `{"a":1}`, string(m.Data))

	front.d.client = nil // standalone knows all there are
	failed, err = front.d.PushToUsers(t.Context(), "front", Parcel{Route: "onX", Payload: "x"}, []string{"ann", "bob", "carol"})
	require.NoError(t, err)
	require.Equal(t, []string{"bob", "carol"}, failed)
	_, err = front.d.PushToUsers(t.Context(), "front", Parcel{Route: string(make([]byte, 300)), Payload: "x"}, []string{"ann"})
	require.Error(t, err)
	failed, err = front.d.KickUsers(t.Context(), "front", "", []string{"carol"})
	require.ErrorIs(t, err, errs.ErrSessionNotFound)
	require.Equal(t, []string{"carol"}, failed)
	front.d.client = s
}

func TestPushesAndKicksOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	room.sees(front)
	ann, annSeat := w.seated(front, "ann")
	_, bobSeat := w.seated(front, "bob")
	users := Users{D: front.d}
	users.HandlePush(&clusterpb.Push{Route: "r", Uid: "ann", Uids: []string{"bob", "nobody"}})
	require.Equal(t, 1, annSeat.heard())
	require.Equal(t, 1, bobSeat.heard())
	users.HandlePush(&clusterpb.Push{Route: "r", Uid: "ann", Done: front.self.Nonce}) // its own push
	require.Equal(t, 1, annSeat.heard())
	users.HandleBind(&clusterpb.BindMsg{Uid: "ann", Fid: "front-1"}) // its own word
	require.NoError(t, ann.s.Context().Err())
	users.HandleBind(&clusterpb.BindMsg{Uid: "ann", Fid: "front-2"})
	<-annSeat.kicked
	users.HandleKick(&clusterpb.KickMsg{Uids: []string{"nobody"}})
	users.HandleKick(&clusterpb.KickMsg{Uids: []string{"bob"}})
	<-bobSeat.kicked

	_, carolSeat := w.seated(front, "carol")
	_, err := front.d.KickUsers(t.Context(), "front", "", []string{"carol"})
	require.NoError(t, err)
	<-carolSeat.kicked
	s := room.spied()
	_, err = room.d.KickUsers(t.Context(), "front", "", []string{"dave"})
	require.NoError(t, err)
	require.Equal(t, []string{"dave"}, s.gone)
	require.Empty(t, s.kicks)
}
