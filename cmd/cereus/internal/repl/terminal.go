package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/reeflective/readline"
)

// interrupt is the key that ends a line without executing it.
const interrupt = '\x03'

// printKey is the key, one that nobody types, that prints what is queued.
const printKey = '\x1c'

// maxPrints bounds the queue.
const maxPrints = 1000

// terminal is the console of a person.
type terminal struct {
	shell *readline.Shell

	mu      sync.Mutex // guards all below and keeps lines whole
	reading bool       // the prompt is shown
	queue   []string   // to be printed by the prompt's loop
	lost    int        // dropped from the queue
}

var _ console = (*terminal)(nil)

// runTerminal reads commands with a prompt.
func runTerminal(ctx context.Context, p Params) error {
	t := &terminal{shell: readline.NewShell()}
	s := newSession(p, t)
	defer s.close()
	if err := t.bindPrinting(); err != nil {
		return err
	}
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
		if errors.Is(err, readline.ErrInterrupt) && line != "" {
			continue // Ctrl-C drops a line, and ends on an empty one
		}
		if errors.Is(err, readline.ErrInterrupt) || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the terminal: %w", err)
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
	defer t.flush()
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

// print writes now, or has the prompt's own loop do it when that is shown: two
// goroutines that move the cursor would spoil the line that is being typed.
func (t *terminal) print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.reading {
		_, _ = fmt.Fprintln(os.Stdout, text)
		return
	}
	if len(t.queue) == maxPrints {
		t.queue, t.lost = t.queue[1:], t.lost+1
	}
	t.queue = append(t.queue, text)
	if len(t.queue) == 1 {
		t.shell.Keys.Feed(false, printKey)
		t.shell.Keys.RequestRefresh()
	}
}

// take empties the queue.
func (t *terminal) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost > 0 {
		t.queue = append([]string{fmt.Sprintf("(%d lines left out)", t.lost)}, t.queue...)
	}
	text := strings.Join(t.queue, "\n")
	t.queue, t.lost = nil, 0
	return text
}

// flush writes what came too late for the prompt's loop.
func (t *terminal) flush() {
	if text := t.take(); text != "" {
		_, _ = fmt.Fprintln(os.Stdout, text)
	}
}

// bindPrinting makes printKey write the queue above the prompt, in every keymap
// that the user's inputrc may choose.
func (t *terminal) bindPrinting() error {
	const command = "cereus-print"
	t.shell.Keymap.Register(map[string]func(){command: func() {
		t.shell.History.SkipSave()
		if text := t.take(); text != "" {
			_, _ = t.shell.PrintTransientf("%s", text)
		}
	}})
	for _, keymap := range []string{"emacs", "emacs-standard", "vi-insert", "vi-command"} {
		if err := t.shell.Config.Bind(keymap, string(printKey), command, false); err != nil {
			return err
		}
	}
	return nil
}
