package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// Host is the address that this package's ports belong to.
const Host = "127.0.0.1"

// Ports are drawn from below the range from which systems take the ports of
// outgoing connections (Linux: 32768 and up). A server that is away for a
// while so finds its port free when it comes back.
const (
	firstPort = 15000
	lastPort  = 32000
	draws     = 200
	start     = 6007 // times the id of the process
	stride    = 7919 // prime, and so goes through all ports
)

// drawn counts the ports that were drawn.
var drawn atomic.Int64

// draw draws no port twice before this process has drawn all: whose server is
// away for a while does not find another one on its port. Processes begin at
// different ones.
func draw() int {
	return firstPort + int((int64(os.Getpid())*start+drawn.Add(1)*stride)%(lastPort-firstPort))
}

// FreePort returns a port that nobody listened on a moment ago. Whoever binds
// it must be ready to find it taken after all (see InUse) and to ask again.
func FreePort() (int, error) {
	l, err := Listen()
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Listen listens on a free port. The listener can be closed and its address
// listened on again.
func Listen() (net.Listener, error) {
	var config net.ListenConfig
	for range draws {
		l, err := config.Listen(context.Background(), "tcp", Address(draw()))
		if err == nil {
			return l, nil
		}
		if !InUse(err) {
			return nil, fmt.Errorf("loopback: %w", err)
		}
	}
	return nil, fmt.Errorf("loopback: %d draws found no free port from %d to %d on %s: stop what is left of earlier runs",
		draws, firstPort, lastPort, Host)
}

// Address is Host and port, joined.
func Address(port int) string { return net.JoinHostPort(Host, strconv.Itoa(port)) }

// InUse reports whether err says that another socket holds the port.
func InUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
