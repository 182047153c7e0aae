package repl

import (
	"fmt"
	"io"
	"sync"
)

// console is where the session talks to. Its methods may be called from any
// goroutine.
type console interface {
	say(text string)      // answers and pushes
	remark(text string)   // what only a person wants to know
	complain(text string) // faults
}

// plain is the console of scripts.
type plain struct {
	mu       sync.Mutex // keeps lines whole
	out, err io.Writer
}

var _ console = (*plain)(nil)

func (p *plain) say(text string) { p.write(p.out, text) }

func (p *plain) remark(string) {}

func (p *plain) complain(text string) { p.write(p.err, text) }

func (p *plain) write(w io.Writer, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintln(w, text)
}
