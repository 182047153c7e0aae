//go:build !unix

package cluster

import (
	"net"
	"syscall"
)

// Where there is no write that does not wait, the writer writes everything.

func rawSocket(net.Conn) syscall.RawConn { return nil }

type socketWrite struct{}

func (socketWrite) do(syscall.RawConn, []byte) (int, error) { return 0, nil }
