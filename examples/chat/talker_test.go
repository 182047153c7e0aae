package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/client"
)

// talker is a visitor without a browser.
type talker struct {
	*client.Client
	pushes chan string // "route payload"
}

func connect(t *testing.T, addr string) *talker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, addr, client.WithTimeout(patience))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := &talker{Client: c, pushes: make(chan string, 1024)}
	c.OnPush(func(route string, data []byte) {
		select {
		case v.pushes <- route + " " + string(data):
		default: // nobody looks
		}
	})
	return v
}

func (v *talker) join(t *testing.T, name, room string) JoinReply {
	t.Helper()
	var reply JoinReply
	require.NoError(t, v.Request(t.Context(), "room.chat.join", &JoinRequest{Name: name, Room: room}, &reply))
	return reply
}

func (v *talker) say(text string) error { return v.try("room.chat.say", &SayRequest{Text: text}) }

func (v *talker) try(route string, arg any) error {
	return v.Request(context.Background(), route, arg, nil)
}

// wants waits for a push that contains a text.
func (v *talker) wants(t *testing.T, route, text string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case push := <-v.pushes:
			if strings.HasPrefix(push, route+" ") && strings.Contains(push, text) {
				return
			}
		case <-late:
			require.FailNow(t, "no such push", "%s with %s", route, text)
		}
	}
}
