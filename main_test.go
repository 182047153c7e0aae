package cereus_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/cereus-game/cereus/embedded"
)

// TestMain is also the main of the servers that tests run as processes of their own.
func TestMain(m *testing.M) {
	if program := os.Getenv(childProgram); program != "" {
		os.Exit(runChild(program))
	}
	goleak.VerifyTestMain(testBinary{m})
}

// testBinary ends the shared servers when all tests are through, before goleak looks.
type testBinary struct{ *testing.M }

func (b testBinary) Run() int {
	code := b.M.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// shared is the etcd and NATS of all tests that do not break them. Every test
// has a prefix of its own.
var shared struct {
	mu      sync.Mutex // guards running
	running *embedded.Cluster
}

func startShared() (*embedded.Cluster, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.running != nil {
		return shared.running, nil
	}
	var err error
	shared.running, err = embedded.Start(context.Background())
	return shared.running, err
}

func stopShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.running == nil {
		return nil
	}
	return shared.running.Stop(context.Background())
}
