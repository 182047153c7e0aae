package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

var (
	word = regexp.MustCompile(`^[\p{L}\p{N}_-]{1,32}$`)

	errWord  = errs.New(errs.CodeBadRequest, "names and rooms are one word of 1 to 32 letters, digits, - and _")
	errText  = errs.New(errs.CodeBadRequest, "a message has 1 to 1000 characters")
	errOther = errs.New(errs.CodeBadRequest, "this connection has another name already")
	errTaken = errs.New(errs.CodeConflict, "this name is taken")
	errNoOne = errs.New(errs.CodeNotFound, "join a room first")
)

// Chat is the game. Every server of type room has one, and any of them may
// answer any message: what they share is in etcd.
type Chat struct {
	app     *cereus.App
	groups  *group.Groups
	history *History
}

// Routes lists what clients may ask for, and what the doors report.
func (c *Chat) Routes(r *component.Routes) {
	component.Handle(r, "join", c.Join)
	component.Handle(r, "say", c.Say)
	component.Handle(r, "leave", c.Leave)
	component.Remote(r, "gone", c.Gone)
}

// Join gives the connection a name, if it has none, and enters a room.
func (c *Chat) Join(ctx context.Context, req *JoinRequest) (*JoinReply, error) {
	s, _ := session.FromContext(ctx)
	name, room := strings.TrimSpace(req.Name), strings.TrimSpace(req.Room)
	if !word.MatchString(name) || !word.MatchString(room) {
		return nil, errWord
	}
	if err := c.login(ctx, s, name); err != nil {
		return nil, err
	}
	if err := c.enter(ctx, s, room); err != nil {
		return nil, err
	}
	members, err := c.members(ctx, room)
	if err != nil {
		return nil, err
	}
	history, err := c.history.Last(ctx, room)
	return &JoinReply{Name: name, Room: room, Members: members, History: history, Server: c.app.Server().ID}, err
}

// Say sends a text to everybody in the room.
func (c *Chat) Say(ctx context.Context, req *SayRequest) (*SayReply, error) {
	s, _ := session.FromContext(ctx)
	m := Message{Room: roomOf(s), From: s.UID(), Text: strings.TrimSpace(req.Text), At: time.Now().UnixMilli()}
	if m.Room == "" {
		return nil, errNoOne
	}
	if n := len([]rune(m.Text)); n == 0 || n > 1000 {
		return nil, errText
	}
	if err := c.history.Add(ctx, m); err != nil {
		return nil, err
	}
	return &SayReply{At: m.At}, c.tell(ctx, m.Room, "chat.message", m)
}

// Leave takes the connection out of its room; its name stays with it.
func (c *Chat) Leave(ctx context.Context, _ *component.None) (*Nothing, error) {
	s, _ := session.FromContext(ctx)
	return &Nothing{}, errors.Join(c.exit(ctx, roomOf(s), s.UID()), s.Set("room", nil), s.Save(ctx))
}

// Gone is what the Door of a frontend reports of a connection that ended.
func (c *Chat) Gone(ctx context.Context, who *Visitor) (*Nothing, error) {
	if err := c.exit(ctx, who.Room, who.Name); err != nil {
		return nil, err
	}
	return &Nothing{}, but(c.groups.Remove(ctx, everybody, who.Name), group.ErrMemberNotFound, group.ErrNotFound)
}

// login binds the session to name, if nobody else has it.
func (c *Chat) login(ctx context.Context, s *session.Session, name string) error {
	switch s.UID() {
	case name:
		return nil
	case "":
	default:
		return errOther
	}
	free, err := c.add(ctx, everybody, name)
	if err != nil {
		return err
	}
	if !free {
		time.Sleep(time.Second) // who took the name just now is about to be bound to it
		if len(c.absent(ctx, name)) == 0 {
			return errTaken
		} // else a frontend crashed, and nobody said goodbye
	}
	if err := s.Bind(ctx, name); err != nil {
		return errors.Join(err, c.groups.Remove(ctx, everybody, name))
	}
	return nil
}

// enter makes the session's user a member of the room, and of no other.
func (c *Chat) enter(ctx context.Context, s *session.Session, room string) error {
	if before := roomOf(s); before != room {
		if err := c.exit(ctx, before, s.UID()); err != nil {
			return err
		}
	}
	newcomer, err := c.add(ctx, roomGroup(room), s.UID())
	if err != nil {
		return err
	}
	if err := errors.Join(s.Set("room", room), s.Save(ctx)); err != nil { // the client has gone
		return errors.Join(err, c.exit(ctx, room, s.UID()))
	}
	if !newcomer {
		return nil
	}
	return c.tell(ctx, room, "chat.joined", Visitor{Name: s.UID(), Room: room})
}

// exit ends a membership, if there is one, and tells those who stay.
func (c *Chat) exit(ctx context.Context, room, name string) error {
	if room == "" {
		return nil
	}
	if err := c.groups.Remove(ctx, roomGroup(room), name); err != nil {
		return but(err, group.ErrMemberNotFound, group.ErrNotFound)
	}
	return c.tell(ctx, room, "chat.left", Visitor{Name: name, Room: room})
}
