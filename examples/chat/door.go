package main

import (
	"context"
	"slices"
	"sync"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/session"
)

// Door is the chat's part on a frontend: it knows whose connections are here
// and says goodbye for those that end, be it by a closed tab or a lost network.
type Door struct {
	app     *cereus.App
	holds   sync.Map // names of those who are here, until their goodbye was heard
	leaving sync.WaitGroup
	ctx     context.Context // of the goodbyes
	giveUp  context.CancelFunc
}

func newDoor(app *cereus.App) *Door {
	d := &Door{app: app}
	d.ctx, d.giveUp = context.WithCancel(context.Background())
	return d
}

// Routes lists what the servers of type room may ask.
func (d *Door) Routes(r *component.Routes) { component.Remote(r, "holds", d.Holds) }

// Holds returns those of the given names whose connections are here.
func (d *Door) Holds(_ context.Context, asked *People) (*People, error) {
	return &People{Names: slices.DeleteFunc(asked.Names, func(name string) bool {
		_, here := d.holds.Load(name)
		return !here
	})}, nil
}

// Enter is called when the game has given a connection its name.
func (d *Door) Enter(_ context.Context, s *session.Session, name string) error {
	d.holds.Store(name, s.ID())
	s.OnClose(func(s *session.Session) { // must not block
		d.leaving.Go(func() { d.goodbye(s, name) })
	})
	return nil
}

// goodbye tells the game. It may come twice, so a failed call can be repeated.
// The session has lost its name again if it ended while it got it.
func (d *Door) goodbye(s *session.Session, name string) {
	if id, here := d.holds.Load(name); !here || id != s.ID() {
		return // the same user came again, and this connection had to go
	}
	who := &Visitor{Name: name, Room: roomOf(s)}
	for range 3 {
		if d.app.RPC(d.ctx, "room.chat.gone", nil, who) == nil || d.ctx.Err() != nil {
			break
		}
	}
	d.holds.CompareAndDelete(name, s.ID())
}

// Shutdown waits for the last goodbyes, and gives up on them when ctx ends.
func (d *Door) Shutdown(ctx context.Context) error {
	stop := context.AfterFunc(ctx, d.giveUp)
	defer stop()
	d.leaving.Wait()
	defer d.giveUp()
	return d.ctx.Err()
}
