package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// The groups of commands in the help.
const (
	developingGroup = "developing"
	runningGroup    = "running"
)

// errReported ends the program with ExitFailed; what is to be said was said.
var errReported = errors.New("failed")

// usageError is the fault of the command line.
type usageError struct {
	cause   error
	command string // whose --help to read
}

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

// Main runs the program with its arguments, without its name, and returns the
// exit code. SIGINT and SIGTERM end it cleanly, a second one at once.
func Main(args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "cereus: internal error: %v\nPlease report it with the command you ran.\n", p)
			code = ExitFailed
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	root := newRoot()
	root.SetArgs(args)
	return exitCode(root.ExecuteContext(ctx), os.Stderr)
}

// exitCode says what went wrong and returns the code for it.
func exitCode(err error, stderr io.Writer) int {
	var usage *usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errReported):
		return ExitFailed
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "cereus: %v\nRun '%s --help' for how it is used.\n", err, usage.command)
		return ExitUsage
	}
	_, _ = fmt.Fprintf(stderr, "cereus: %v\n", err)
	return ExitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cereus",
		Short: "Develop, try out, look into and run clusters of cereus game servers",
		Long: `cereus helps with developing games on cereus, and with running them.

Exit codes: 0 all went well, 1 something failed, 2 the command line is wrong.`,
		Example: `  cereus dev
  cereus repl tcp://localhost:3250
  cereus servers --watch
  cereus edit room-1 --state draining`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("cereus {{.Version}}\n")
	root.SetFlagErrorFunc(wrongUse)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: developingGroup, Title: "To develop a game:"},
		&cobra.Group{ID: runningGroup, Title: "To look into a cluster and run it:"},
	)
	root.AddCommand(newDev(), newRepl(), newServers(), newEdit(), newLeader(), newVersion())
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, as --version does",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "cereus %s\n", version())
			return err
		},
	}
}

func wrongUse(cmd *cobra.Command, err error) error {
	return &usageError{cause: err, command: cmd.CommandPath()}
}

// args checks how many arguments there are; what they are stands in the command's Use.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		switch n := len(given); {
		case n < least:
			return wrongUse(cmd, fmt.Errorf("something is missing: use '%s'", cmd.UseLine()))
		case n > most:
			return wrongUse(cmd, fmt.Errorf("%q is too much: use '%s'", given[most], cmd.UseLine()))
		}
		return nil
	}
}

func knownCommand(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", given[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(given[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return wrongUse(cmd, errors.New(text))
}

// version is that of the module or of the commit this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	return text + " " + info.GoVersion
}
