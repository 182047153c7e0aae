package acceptor

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv tells the test binary to be another process of a test: "server" is
// TestS20's, anything else the clients of TestIdleMemory.
const childEnv = "CEREUS_ACCEPTOR_CHILD"

func TestMain(m *testing.M) {
	switch task := os.Getenv(childEnv); task {
	case "":
	case "server":
		os.Exit(runServer())
	default:
		os.Exit(runClients(task))
	}
	goleak.VerifyTestMain(m)
}
