package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The environment of a test binary that is to be the program itself.
const (
	childEnv = "CEREUS_CHAT_CHILD"
	asIs     = "as is"  // main, and nothing else
	traced   = "traced" // reports every text that a handler begins with, see trace
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case asIs:
		main()
	case traced:
		tracedMain()
	default:
		goleak.VerifyTestMain(m)
	}
}

func tracedMain() {
	one, _, err := parse(os.Args[1:])
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, trace(os.Stdout, one.server)); err != nil {
		panic(err)
	}
}
