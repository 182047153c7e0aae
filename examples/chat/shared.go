package main

import (
	"context"
	"errors"
	"slices"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// everybody is the group of all names in use.
const everybody = "everybody"

func roomGroup(room string) string { return "room/" + room }

// roomOf is the room that the session is in, "" for none.
func roomOf(s *session.Session) string {
	room, _ := s.Get("room").(string)
	return room
}

// tell pushes to everybody in the room.
func (c *Chat) tell(ctx context.Context, room, what string, payload any) error {
	_, err := c.app.PushToGroup(ctx, cereus.Push{FrontendType: "connector", Route: what, Payload: payload}, c.groups, roomGroup(room))
	return err
}

// add adds name to a group, which it makes when it is not there, and reports
// false for one who was a member already.
func (c *Chat) add(ctx context.Context, to, name string) (added bool, err error) {
	err = c.groups.Add(ctx, to, name)
	if errors.Is(err, group.ErrNotFound) {
		if err = but(c.groups.Create(ctx, to), group.ErrExists); err == nil {
			err = c.groups.Add(ctx, to, name)
		}
	}
	return err == nil, but(err, group.ErrMemberExists)
}

// members lists who is in the room. Those whose frontend crashed, so that
// nobody said goodbye for them, are shown out.
func (c *Chat) members(ctx context.Context, room string) ([]string, error) {
	members, err := c.groups.Members(ctx, roomGroup(room))
	if err != nil {
		return nil, err
	}
	for _, ghost := range c.absent(ctx, members...) {
		if _, err := c.Gone(ctx, &Visitor{Name: ghost, Room: room}); err != nil {
			return nil, err
		}
		members = slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == ghost })
	}
	return members, nil
}

// absent returns those of names that no frontend holds; none of them when a
// frontend does not answer, because they may be there.
func (c *Chat) absent(ctx context.Context, names ...string) []string {
	answers, err := cereus.CallAll[People](ctx, c.app, "connector.door.holds", &People{Names: names})
	if err != nil {
		return nil
	}
	gone := slices.Clone(names)
	for _, a := range answers {
		if a.Err != nil {
			return nil
		}
		gone = slices.DeleteFunc(gone, func(n string) bool { return slices.Contains(a.Reply.Names, n) })
	}
	return gone
}

// but is err, or nil if it is one of those that do not matter.
func but(err error, fine ...error) error {
	for _, f := range fine {
		if errors.Is(err, f) {
			return nil
		}
	}
	return err
}
