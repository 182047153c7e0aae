package repl

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	errQuit         = errors.New("quit")
	errNotConnected = errors.New("not connected: type connect ADDR, such as connect localhost:3250")
)

// maxUnseen bounds the pushes that `wait` can look back on.
const maxUnseen = 4096

// session executes commands on at most one connection.
type session struct {
	p       Params
	console console
	routes  *routes
	group   *lifecycle.Group

	mu      sync.Mutex // guards all below
	client  *client.Client
	addr    string
	unseen  []string      // routes of pushes that no `wait` has taken
	arrived chan struct{} // closed at the next push
}

func newSession(p Params, c console) *session {
	return &session{
		p: p, console: c, routes: newRoutes(),
		group: lifecycle.NewGroup(context.Background()), arrived: make(chan struct{}),
	}
}

// close ends the connection and waits for what watches it.
func (s *session) close() {
	_ = s.disconnect()
	_ = s.group.Stop(context.Background())
}

func (s *session) connect(ctx context.Context, addr string) error {
	if s.current() != nil {
		_ = s.disconnect()
	}
	ctx, cancel := context.WithTimeout(ctx, s.p.Timeout)
	defer cancel()
	c, err := client.Dial(ctx, addr, s.p.Options...)
	if err != nil {
		return err
	}
	for route := range c.Dictionary().Routes() {
		s.routes.add(route)
	}
	s.mu.Lock()
	s.client, s.addr, s.unseen = c, addr, nil
	s.mu.Unlock()
	s.console.remark(welcome(c))
	c.OnPush(s.pushed)
	s.group.Go("repl.watch", func(context.Context) { s.watch(c) })
	return nil
}

// watch says when the server ends a connection.
func (s *session) watch(c *client.Client) {
	<-c.Done()
	s.mu.Lock()
	mine := s.client == c
	if mine {
		s.client = nil
	}
	close(s.arrived) // whoever waits for a push waits in vain
	s.arrived = make(chan struct{})
	s.mu.Unlock()
	if mine {
		s.console.complain(clean(c.Err().Error()))
	}
}

func (s *session) disconnect() error {
	s.mu.Lock()
	c := s.client
	s.client = nil
	s.mu.Unlock()
	if c == nil {
		return errNotConnected
	}
	return c.Close()
}

func (s *session) current() *client.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *session) connected() (*client.Client, error) {
	if c := s.current(); c != nil {
		return c, nil
	}
	return nil, errNotConnected
}

// prompt says where the next command goes.
func (s *session) prompt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return "cereus> "
	}
	return s.addr + "> "
}

// pushed is called by the client's reader.
func (s *session) pushed(route string, data []byte) {
	s.console.say(fmt.Sprintf("push %s %s", clean(route), s.show(data, compact)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unseen) == maxUnseen {
		s.unseen = s.unseen[1:]
	}
	s.unseen = append(s.unseen, route)
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// takePush forgets the oldest push of the route ("" for any) and the ones before
// it. Else it returns a channel that is closed when it is worth another look.
func (s *session) takePush(route string) (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.unseen {
		if route == "" || route == have {
			s.unseen = s.unseen[i+1:]
			return true, nil
		}
	}
	return false, s.arrived
}
