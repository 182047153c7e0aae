package embedded

import (
	"errors"
	"net"

	"github.com/cereus-game/cereus/internal/loopback"
)

// pickPorts draws the ports on which etcd will listen, but for the clients'
// port once that is settled.
func (n *etcdNode) pickPorts() error {
	ports, err := drawPorts(3)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.keepPort {
		n.port = ports[0]
	}
	n.clientsPort, n.peersPort = ports[1], ports[2]
	return nil
}

// drawPorts returns n different ports that were free a moment ago.
func drawPorts(n int) ([]int, error) {
	listeners, err := listenAll(n, nil)
	var ports []int
	for _, l := range listeners {
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		err = errors.Join(err, l.Close())
	}
	return ports, err
}

// explain says what to do about a port in use, unless another draw helps.
func (n *etcdNode) explain(err error) error {
	if !loopback.InUse(err) || !n.keepPort {
		return err
	}
	if taken := takenPort(err); taken != 0 && taken != n.port {
		return err
	}
	return &PortError{Server: "etcd", Option: "embedded.WithEtcdPort", Cause: err}
}

// takenPort is the port that a failed listen asked for, 0 when it does not say.
func takenPort(err error) int {
	var failed *net.OpError
	if !errors.As(err, &failed) {
		return 0
	}
	if at, ok := failed.Addr.(*net.TCPAddr); ok {
		return at.Port
	}
	return 0
}
