package repl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/reeflective/readline"
)

// interrupt is the key that ends a line without executing it.
const interrupt = '\x03'

// terminal is the console of a person.
type terminal struct {
	shell *readline.Shell

	mu      sync.Mutex // guards reading and keeps lines whole
	reading bool       // the prompt is shown
}

var _ console = (*terminal)(nil)

// runTerminal reads commands with a prompt.
func runTerminal(ctx context.Context, p Params) error {
	t := &terminal{shell: readline.NewShell()}
	s := newSession(p, t)
	defer s.close()
	past := openHistory(p.HistoryFile)
	for _, route := range past.routes() {
		s.routes.add(route)
	}
	t.shell.History.Delete()
	t.shell.History.Add("cereus", past)
	t.shell.Prompt.Primary(s.prompt)
	t.shell.Completer = func(line []rune, cursor int) readline.Completions {
		return readline.CompleteValues(s.candidates(string(line[:cursor]))...)
	}
	if p.Addr != "" {
		if err := s.connect(ctx, p.Addr); err != nil {
			return err
		}
	}
	t.remark("type help for the commands")
	// A signal from outside ends the line that is being typed, so that the
	// terminal is left as it was found.
	defer context.AfterFunc(ctx, func() {
		t.shell.Keys.Feed(false, interrupt)
		t.shell.Keys.RequestRefresh()
	})()
	return t.loop(ctx, s)
}

func (t *terminal) loop(ctx context.Context, s *session) error {
	for ctx.Err() == nil {
		line, err := t.read()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			if line == "" {
				return nil // Ctrl-C on an empty line
			}
			continue
		case err != nil:
			return nil // Ctrl-D, or the terminal is gone
		}
		err = s.execute(ctx, line)
		if errors.Is(err, errQuit) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			t.complain(describe(err))
		}
	}
	return nil
}

func (t *terminal) read() (string, error) {
	t.setReading(true)
	defer t.setReading(false)
	return t.shell.Readline()
}

func (t *terminal) setReading(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = on
}

func (t *terminal) say(text string)      { t.print(text) }
func (t *terminal) remark(text string)   { t.print("\x1b[2m" + text + "\x1b[0m") }
func (t *terminal) complain(text string) { t.print("\x1b[31m" + text + "\x1b[0m") }

// print writes above the prompt when that is shown.
func (t *terminal) print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading {
		_, _ = t.shell.PrintTransientf("%s", text)
		return
	}
	fmt.Fprintln(os.Stdout, text)
}
