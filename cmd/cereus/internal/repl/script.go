package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// maxLine bounds a line of a script, in bytes.
const maxLine = 16 << 20

type scriptLine struct {
	text   string
	number int
	err    error
}

// runScript runs the commands of p.In one after the other.
func runScript(ctx context.Context, p Params) error {
	out := &plain{out: p.Out, err: p.Err}
	s := newSession(p, out)
	defer s.close()
	if p.Addr != "" {
		if err := s.connect(ctx, p.Addr); err != nil {
			return err
		}
	}
	lines, stop := readLines(p.In)
	defer stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			out.complain("cereus: interrupted")
			return ErrFailed
		case line, ok := <-lines:
			if !ok {
				return verdict(failed)
			}
			if line.err != nil {
				return fmt.Errorf("reading line %d: %w", line.number, line.err)
			}
			err := s.execute(ctx, line.text)
			if errors.Is(err, errQuit) {
				return verdict(failed)
			}
			if err != nil {
				failed = true
				out.complain(fmt.Sprintf("cereus: line %d: %s: %s", line.number, named(line.text), describe(err)))
			}
		}
	}
}

// named is a command without its payload, which may be long or secret.
func named(line string) string {
	name, rest := cut(line)
	if route, _ := cut(rest); route != "" {
		name += " " + route
	}
	return clean(name)
}

func verdict(failed bool) error {
	if failed {
		return ErrFailed
	}
	return nil
}

// readLines reads commands in a goroutine. stop does not wait for a read that
// nobody can interrupt: the process is about to end.
func readLines(r io.Reader) (<-chan scriptLine, func()) {
	lines := make(chan scriptLine)
	group := lifecycle.NewGroup(context.Background())
	group.Go("repl.lines", func(ctx context.Context) {
		defer close(lines)
		in := bufio.NewScanner(r)
		in.Buffer(nil, maxLine)
		number := 0
		send := func(l scriptLine) bool {
			select {
			case lines <- l:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for in.Scan() {
			number++
			text := strings.TrimSpace(in.Text())
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			if !send(scriptLine{text: text, number: number}) {
				return
			}
		}
		if err := in.Err(); err != nil {
			send(scriptLine{number: number + 1, err: err})
		}
	})
	return lines, func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = group.Stop(ended)
	}
}
