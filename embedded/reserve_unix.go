//go:build unix

package embedded

import "syscall"

// reserve keeps others off port while its server is stopped: a socket that is
// bound but does not listen. Clients are refused as they are on a free port.
// When the port is gone already there is nothing to reserve. release may be
// called once.
func reserve(port int) (release func()) {
	// A process started in between must not inherit the socket.
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return func() {}
	}
	if err := occupy(fd, port); err != nil {
		_ = syscall.Close(fd)
		return func() {}
	}
	return func() { _ = syscall.Close(fd) }
}

// occupy shares the port with what is left of closed connections, and from then
// on with nobody.
func occupy(fd, port int) error {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0)
}
