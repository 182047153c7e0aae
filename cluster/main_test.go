package cluster

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the main of the servers that tests run as processes of their own.
func TestMain(m *testing.M) {
	if params := os.Getenv(childEnv); params != "" {
		os.Exit(runChild(params))
	}
	goleak.VerifyTestMain(m)
}
