package cereus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/logger"
	"github.com/cereus-game/cereus/protocol"
)

// lines is where a log goes.
type lines struct {
	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// echoing fails with what it is told.
type echoing struct{}

func (echoing) Routes(r *component.Routes) {
	component.HandleRaw(r, "error", func(_ context.Context, b []byte) ([]byte, error) { return nil, errors.New(string(b)) })
	component.HandleRaw(r, "panic", func(_ context.Context, b []byte) ([]byte, error) { panic(string(b)) })
}

// TestS28_NobodyForgesLogLines: with a route, a uid, a handshake or a reason that
// has newlines and escapes in it.
func TestS28_NobodyForgesLogLines(t *testing.T) {
	t.Parallel()
	const evil = "a\n\r\u2028level=error msg=forged\x1b[31m\x00\""
	for _, format := range []logger.Format{logger.Text, logger.JSON} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			out := &lines{}
			log, err := logger.New(out, "trace", format)
			require.NoError(t, err)
			w := newWorld(t)
			with := []cereus.Option{cereus.WithLogger(log)}
			game := func(app *cereus.App) {
				halls(t)(app)
				require.NoError(t, app.Register(echoing{}, component.WithName("failing")))
			}
			room := w.start(server{kind: "room", opts: with, game: game})
			front := w.start(server{kind: "gate", front: true, opts: with, game: game})
			sees(t, front, "room", 1)
			sees(t, room, "gate", 1)
			p := dial(t, front, client.WithUser(map[string]any{"name": evil}))
			for _, route := range []string{evil, "hall." + evil, "room.hall." + evil, evil + ".hall.echo", "room." + evil + ".x"} {
				_, err := p.ask(route, evil)
				require.Error(t, err, "%q", route)
			}
			for _, route := range []string{"failing.error", "failing.panic", "room.failing.error", "room.failing.panic"} {
				_, err := p.ask(route, evil)
				require.Error(t, err, "%q", route)
			}
			_, err = p.ask("hall.login", evil)
			require.ErrorContains(t, err, "illegal uid")
			p.mustAsk("hall.login", `"\n\x1b[31m`) // which is printable
			_, err = room.Kick(t.Context(), "gate", evil, evil)
			require.NoError(t, err, "one list for all frontends of the type")
			_, err = room.Push(t.Context(), cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte(evil)}, evil)
			require.NoError(t, err)
			conn := dialRaw(t, front)
			conn.send(packet(protocol.PacketHandshake, `{"sys":{"platform":"x\n\u001b[31mforged","clientVersion":"1\nforged"}}`+evil))
			ended(t, conn)
			p.mustAsk("hall.echo", "x")
			_, _ = p.ask("hall.kickme", "")
			p.ends()

			all := strings.TrimSuffix(out.String(), "\n")
			require.NotEmpty(t, all)
			for line := range strings.SplitSeq(all, "\n") {
				require.NotContains(t, line, "\x1b")
				require.NotContains(t, line, "\r")
				require.NotContains(t, line, "\x00")
				if format == logger.JSON {
					require.True(t, json.Valid([]byte(line)), "%q", line)
					continue
				}
				require.True(t, strings.HasPrefix(line, "time="), "%q", line)
			}
		})
	}
}
