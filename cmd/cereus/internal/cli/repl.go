package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cmd/cereus/internal/repl"
)

type replFlags struct {
	user      string
	timeout   time.Duration
	insecure  bool
	ca        string
	base64    bool
	noHistory bool
}

func newRepl() *cobra.Command {
	var f replFlags
	cmd := &cobra.Command{
		Use:   "repl [ADDR]",
		Short: "Talk to a frontend as a player would",
		Long: `Talk to a frontend as a player would: connect, send requests and notifies, see
pushes as they come. ADDR is host:port (TCP), or tcp://, tls://, ws:// or wss://.

Commands:
` + repl.Help + `
When standard input is not a terminal, commands are read from it, one per line;
lines that begin with # are left out. Answers and pushes go to standard output,
faults to standard error, and the exit code is 1 when a command failed.`,
		Example: `  cereus repl localhost:3250
  cereus repl wss://game.example.com/ --user '{"token":"abc"}'
  echo 'request connector.hall.greet {"name":"Ann"}' | cereus repl localhost:3250`,
		GroupID: developingGroup,
		Args:    args(0, 1),
		RunE:    func(cmd *cobra.Command, given []string) error { return runRepl(cmd, f, given) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.user, "user", "", "JSON object that the handshake carries as user data")
	flags.DurationVar(&f.timeout, "timeout", client.DefaultTimeout, "longest wait for a connection and for a response")
	flags.StringVar(&f.ca, "ca", "", "PEM file with the certificates to trust (tls://, wss://)")
	flags.BoolVar(&f.insecure, "insecure", false, "do not check the server's certificate")
	flags.BoolVar(&f.base64, "base64", false, "show payloads that are not JSON as base64 instead of hex")
	flags.BoolVar(&f.noHistory, "no-history", false, "neither read nor write the history file")
	return cmd
}

func runRepl(cmd *cobra.Command, f replFlags, given []string) error {
	opts, err := f.options(cmd)
	if err != nil {
		return err
	}
	p := repl.Params{
		Options: opts, Timeout: f.timeout, Base64: f.base64,
		In: os.Stdin, Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(),
	}
	if len(given) > 0 {
		p.Addr = given[0]
	}
	if !f.noHistory {
		p.HistoryFile = repl.DefaultHistoryFile()
	}
	err = repl.Run(cmd.Context(), p)
	if errors.Is(err, repl.ErrFailed) {
		return errReported
	}
	return err
}

func (f replFlags) options(cmd *cobra.Command) ([]client.Option, error) {
	if f.timeout <= 0 {
		return nil, wrongUse(cmd, errors.New("--timeout must be above zero"))
	}
	opts := []client.Option{client.WithTimeout(f.timeout)}
	if f.user != "" {
		var user map[string]any
		if err := json.Unmarshal([]byte(f.user), &user); err != nil {
			return nil, wrongUse(cmd, fmt.Errorf("--user must be a JSON object: %w", err))
		}
		opts = append(opts, client.WithUser(user))
	}
	if f.ca == "" && !f.insecure {
		return opts, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", f.ca)
		}
	}
	return append(opts, client.WithTLS(cfg)), nil
}
