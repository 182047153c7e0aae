package repl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/errs"
)

// Help describes the commands.
const Help = `  connect ADDR             connect, after leaving the connection there is
  disconnect               leave
  request ROUTE [PAYLOAD]  send a request and show the answer
  notify ROUTE [PAYLOAD]   send what nobody answers
  wait [ROUTE] [DURATION]  wait for a push (of this route; 5s), also one that came
                           since the last wait
  status                   show the connection
  help                     show this
  quit                     end (also Ctrl-D)

PAYLOAD is JSON, or hex:..., base64:... or text:... for bytes as they are.
`

// waitFor is how long `wait` waits when it is not told.
const waitFor = 5 * time.Second

// commandNames in the order of completion.
func commandNames() []string {
	return []string{"connect", "disconnect", "request", "notify", "wait", "status", "help", "quit"}
}

// execute runs one line. errQuit says that it was the last.
func (s *session) execute(ctx context.Context, line string) error {
	name, rest := cut(line)
	switch name {
	case "":
		return nil
	case "connect":
		if rest == "" {
			return errors.New("usage: connect ADDR, such as connect localhost:3250 or connect wss://game.example.com/")
		}
		return s.connect(ctx, rest)
	case "disconnect":
		return s.disconnect()
	case "request":
		return s.request(ctx, rest)
	case "notify":
		return s.notify(ctx, rest)
	case "wait":
		return s.wait(ctx, rest)
	case "status":
		return s.status()
	case "help", "?":
		s.console.say(strings.TrimRight(Help, "\n"))
		return nil
	case "quit", "exit":
		return errQuit
	}
	return fmt.Errorf("unknown command %q: type help", clean(name))
}

// cut returns the first word and what follows it.
func cut(line string) (string, string) {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.TrimSpace(line[i:])
}

// addressed finds the connection, the route and the payload of a command.
func (s *session) addressed(verb, rest string) (*client.Client, string, []byte, error) {
	route, text := cut(rest)
	if route == "" {
		return nil, "", nil, fmt.Errorf("usage: %s ROUTE [PAYLOAD], such as %s room.lobby.join {\"room\":\"blue\"}", verb, verb)
	}
	c, err := s.connected()
	if err != nil {
		return nil, "", nil, err
	}
	data, err := payload(text, c.Serializer())
	return c, route, data, err
}

func (s *session) request(ctx context.Context, rest string) error {
	c, route, data, err := s.addressed("request", rest)
	if err != nil {
		return err
	}
	start := time.Now()
	answer, err := c.RequestRaw(ctx, route, data)
	took := time.Since(start)
	if err == nil || known(err) {
		s.routes.add(route)
	}
	if err != nil {
		return hint(err, len(data))
	}
	s.console.say(s.show(answer, pretty))
	s.console.remark(fmt.Sprintf("(%s)", took.Round(time.Microsecond)))
	return nil
}

// known reports whether err says that a route is there.
func known(err error) bool {
	code := errs.CodeOf(err)
	return code != errs.CodeNotFound && code != errs.CodeUnavailable && code != errs.CodeClosed
}

// hint helps with what goes wrong most often.
func hint(err error, sent int) error {
	if sent == 0 && errs.CodeOf(err) == errs.CodeBadRequest {
		return fmt.Errorf("%w (nothing was sent as payload; does the handler want one, such as {}?)", err)
	}
	return err
}

func (s *session) notify(ctx context.Context, rest string) error {
	c, route, data, err := s.addressed("notify", rest)
	if err != nil {
		return err
	}
	if err := c.NotifyRaw(ctx, route, data); err != nil {
		return err
	}
	s.routes.add(route)
	s.console.remark("(sent)")
	return nil
}

func (s *session) wait(ctx context.Context, rest string) error {
	route, patience, err := parseWait(rest)
	if err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		took, again := s.takePush(route)
		if took {
			return nil
		}
		if _, err := s.connected(); err != nil {
			return err
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("no push %s within %s", route, patience)
		}
	}
}

func parseWait(rest string) (string, time.Duration, error) {
	words := strings.Fields(rest)
	route, patience := "", waitFor
	if n := len(words); n > 0 {
		if d, err := time.ParseDuration(words[n-1]); err == nil {
			patience, words = d, words[:n-1]
		}
	}
	if len(words) > 1 {
		return "", 0, errors.New("usage: wait [ROUTE] [DURATION], such as wait onMessage 2s")
	}
	if len(words) == 1 {
		route = words[0]
	}
	return route, patience, nil
}

func (s *session) status() error {
	c, err := s.connected()
	if err != nil {
		return err
	}
	s.console.say(welcome(c))
	return nil
}

// describe is an error as a line: with its code and metadata when a server sent it.
func describe(err error) string {
	var sent *errs.Error
	if !errors.As(err, &sent) || sent.Unwrap() != nil {
		return clean(err.Error())
	}
	text := string(sent.Code) + ": " + err.Error()
	if len(sent.Metadata) > 0 {
		if meta, err := json.Marshal(sent.Metadata); err == nil {
			text += " " + string(meta)
		}
	}
	return clean(text)
}
