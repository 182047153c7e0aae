package main

import (
	"context"
	"sync/atomic"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// Hall answers players on servers of type room.
type Hall struct {
	app     *cereus.App
	greeted atomic.Int64
}

// Routes lists what players and other servers may ask for.
func (h *Hall) Routes(r *component.Routes) {
	component.Handle(r, "greet", h.Greet)
	component.Remote(r, "count", h.Count)
}

// GreetRequest is who wants to be greeted.
type GreetRequest struct {
	Name string `json:"name"`
}

// Greeting is the answer, and the way that it took.
type Greeting struct {
	Text   string `json:"text"`
	Server string `json:"server"`
	Via    string `json:"via"`
}

// Greet is room.hall.greet.
func (h *Hall) Greet(ctx context.Context, req *GreetRequest) (*Greeting, error) {
	if req.Name == "" {
		return nil, errs.New(errs.CodeBadRequest, `tell your name, as in {"name":"ada"}`)
	}
	s, _ := session.FromContext(ctx)
	h.greeted.Add(1)
	return &Greeting{Text: "hello, " + req.Name, Server: h.app.Server().ID, Via: s.Frontend()}, nil
}

// Room is what a server of type room tells about itself.
type Room struct {
	Server  string `json:"server"`
	Greeted int64  `json:"greeted"`
}

// Count is room.hall.count, for other servers.
func (h *Hall) Count(context.Context, *component.None) (*Room, error) {
	return &Room{Server: h.app.Server().ID, Greeted: h.greeted.Load()}, nil
}

// Door answers players on servers of type connector.
type Door struct {
	app *cereus.App
}

// Routes lists what players may ask for.
func (d *Door) Routes(r *component.Routes) { component.Handle(r, "rooms", d.Rooms) }

// Rooms is connector.door.rooms: it asks every server of type room.
func (d *Door) Rooms(ctx context.Context, _ *component.None) (*[]*Room, error) {
	answers, err := cereus.CallAll[Room](ctx, d.app, "room.hall.count", nil)
	if err != nil {
		return nil, err
	}
	rooms := []*Room{}
	for _, answer := range answers {
		if answer.Err == nil { // else it has just gone
			rooms = append(rooms, answer.Reply)
		}
	}
	return &rooms, nil
}
