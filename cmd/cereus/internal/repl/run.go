package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cereus-game/cereus/client"
)

// ErrFailed says that a command of a script failed; it was reported already.
var ErrFailed = errors.New("a command failed")

// Params is what Run needs.
type Params struct {
	Addr        string          // connected to first, if not empty
	Options     []client.Option // of every connection
	Timeout     time.Duration   // longest wait for a connection
	HistoryFile string          // "" for none
	Base64      bool            // payloads that are not JSON are shown as base64, not hex

	In       *os.File
	Out, Err io.Writer
}

// Run reads commands from In until quit, the end of In or of ctx: with a prompt
// when In is a terminal, one per line otherwise.
func Run(ctx context.Context, p Params) error {
	if isTerminal(p.In) {
		return runTerminal(ctx, p)
	}
	return runScript(ctx, p)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// welcome describes a connection that was made.
func welcome(c *client.Client) string {
	text := fmt.Sprintf("connected to %s, serializer %s, heartbeat %s", c.RemoteAddr(), clean(c.Serializer()), c.Heartbeat())
	if n := c.Dictionary().Len(); n > 0 {
		text += fmt.Sprintf(", %d routes in the dictionary", n)
	}
	if c.Serializer() != "json" {
		text += "\npayloads are not JSON here: type hex:0a0141 or base64:CgFB, or text:... for bytes as they are;" +
			"\nfor protobuf, `echo HEX | xxd -r -p | protoc --decode_raw` shows what is in an answer"
	}
	return text
}
