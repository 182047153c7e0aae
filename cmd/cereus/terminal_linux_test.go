package main_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// quiet is how long a terminal prints nothing before somebody types on.
const quiet = 300 * time.Millisecond

// openTerminal returns both ends of a pseudo terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return master, slave
}

// person is somebody at a terminal in which the program runs.
type person struct {
	*process
	master *os.File
}

// sit starts the program in a terminal, which answers where its cursor is.
func sit(t *testing.T, cache string, args ...string) *person {
	t.Helper()
	master, slave := openTerminal(t)
	p := command(t, args...)
	p.cmd.Env = append(p.cmd.Env, "TERM=xterm-256color", "XDG_CACHE_HOME="+cache, "HOME="+cache)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, p.cmd.Start())
	require.NoError(t, slave.Close())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in := bufio.NewReader(master)
		var tail string
		for {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			_, _ = p.out.Write([]byte{b})
			if tail = tail[max(0, len(tail)-3):] + string(rune(b)); tail == "\x1b[6n" {
				_, _ = master.WriteString("\x1b[5;1R")
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-ended
		_ = master.Close()
	})
	return &person{process: p, master: master}
}

// types waits until the terminal is quiet, as people do: the line editor drops
// keys that arrive together with the answer to where the cursor is.
func (p *person) types(keys string) {
	p.t.Helper()
	size, since := -1, time.Now()
	require.Eventually(p.t, func() bool {
		if n := len(p.out.String()); n != size {
			size, since = n, time.Now()
		}
		return time.Since(since) > quiet
	}, long, 10*time.Millisecond)
	_, err := p.master.WriteString(keys)
	require.NoError(p.t, err)
}

func TestReplInATerminal(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	addr, h := gameOf(t)
	p := sit(t, cache, "repl", addr)
	p.prints("connected to " + addr)
	p.prints(addr + "> ")
	p.types("request connector.hall.Say {\"text\":\"hello\"}\r")
	p.prints("push onSaid {\"text\":\"hello\"}")
	p.prints("\"text\": \"hello\"")

	// A push comes while a line is being typed: the line is still there after it.
	p.types("notify connector.hall.Hush {\"text\":\"pst\"}\r")
	p.prints("push onHush {\"text\":\"pst\"}")
	p.types("frobni")
	p.prints("frobni")
	require.NoError(t, h.last.Load().Push(t.Context(), "onLater", word{Text: "psst"}))
	p.prints("push onLater {\"text\":\"psst\"}")
	require.Eventually(t, func() bool {
		_, after, _ := strings.Cut(p.out.String(), "psst")
		return strings.Contains(after, addr+"> ") && strings.Contains(after, "frobni")
	}, long, 5*time.Millisecond, "the prompt comes back")
	p.types("cate\r")
	p.prints("unknown command \"frobnicate\"")

	// Completion of commands and of routes that were seen.
	p.types("stat\t\r")
	require.Eventually(t, func() bool { return strings.Count(p.out.String(), "serializer json") == 2 }, long, time.Millisecond)
	p.types("request connector.hall.S\t {}\r")
	p.prints("PIT-409: say something")
	p.types("quit\r")
	require.Zero(t, p.wait(), p.out.String())

	history, err := os.ReadFile(cache + "/cereus/repl_history")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(history), "request connector.hall.Say {\"text\":\"hello\"}\n"), string(history))
	info, err := os.Stat(cache + "/cereus/repl_history")
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	// The next run remembers the lines and their routes.
	p = sit(t, cache, "repl", addr)
	p.prints(addr + "> ")
	p.types("request connector.hall.S\t {}\r")
	p.prints("PIT-409: say something")
	p.types("\x03")
	require.Zero(t, p.wait(), p.out.String())
}

func TestSignalLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	p := sit(t, t.TempDir(), "repl", game(t))
	p.prints("type help")
	require.Eventually(t, func() bool {
		now, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
		return err == nil && now.Lflag&unix.ECHO == 0
	}, long, time.Millisecond, "the prompt reads keys")
	p.types("half a li")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.wait(), p.out.String())
	now, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.NotZero(t, now.Lflag&unix.ECHO)
}
