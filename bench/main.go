package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// flags are what a user chooses.
type flags struct {
	role    string
	run     string
	rows    string
	runs    int
	time    time.Duration
	json    bool
	profile string
}

func main() {
	f := flags{}
	flag.StringVar(&f.role, "role", "", "for the program's own use: what a child process is")
	flag.StringVar(&f.run, "run", "", "regular `expression` that chooses scenarios: local, calls, forward, broadcast, idle, login, discovery")
	flag.StringVar(&f.rows, "rows", "", "regular `expression` that chooses rows of the scenarios, for a closer look")
	flag.IntVar(&f.runs, "runs", 5, "runs, of which the median is shown")
	flag.DurationVar(&f.time, "time", 2*time.Second, "how long each figure of a run is measured; logins are counted, not timed")
	flag.BoolVar(&f.json, "json", false, "print JSON with every run instead of a table")
	flag.StringVar(&f.profile, "profile", "", "`folder` for CPU and allocation profiles of the servers, taken in the last run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, f, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags, out io.Writer) error {
	if f.role != "" {
		return play(context.WithoutCancel(ctx), f.role) // a child ends with its orders
	}
	chosen, err := regexp.Compile(f.run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	rows, err := regexp.Compile(f.rows)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	if f.runs < 1 || f.time <= 0 {
		return errors.New("-runs and -time have to be above zero")
	}
	m := describeMachine()
	b := &bench{only: rows, runs: f.runs, time: f.time, profile: f.profile}
	err = b.measureAll(ctx, chosen)
	if f.json {
		return errors.Join(err, writeJSON(out, report{m, b.rows}))
	}
	return errors.Join(err, writeText(out, m, b.rows))
}

// measureAll leaves what was measured in b.rows, also when it fails.
func (b *bench) measureAll(ctx context.Context, chosen *regexp.Regexp) error {
	found := false
	for _, s := range scenarios() {
		if !chosen.MatchString(s.name) {
			continue
		}
		found = true
		if err := b.measure(ctx, s); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("-run %s: there is no such scenario; see -help", chosen)
	}
	return nil
}

func writeText(out io.Writer, m machine, rows []*row) error {
	if _, err := fmt.Fprintln(out, m); err != nil {
		return err
	}
	return writeTable(out, rows)
}
