package group_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if params := os.Getenv(childEnv); params != "" {
		os.Exit(runChild(params))
	}
	goleak.VerifyTestMain(m)
}
