package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cereus-game/cereus/internal/loopback"
)

// peersFile is in the folder of a group and holds the ports on which its nodes
// find each other, one a line: etcd keeps them in its data, so they must not
// change when the group is started again.
const peersFile = "peers"

// openFronts gives each node of a group the address at which the others find
// it as long as the cluster lives: on the port that their data knows, or on a
// free one, which is written down before a node uses it.
func (g *etcdGroup) openFronts() error {
	if len(g.nodes) == 1 || g.nodes[0].peers != nil {
		return nil
	}
	ports, err := g.loadPeers()
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	listeners, err := listenAll(len(g.nodes), ports)
	if err == nil && fresh {
		err = g.savePeers(listeners)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	for i, n := range g.nodes {
		n.peers = newFront(listeners[i], g.work)
	}
	return nil
}

// listenAll listens on ports, or on n free ones when there are none. What it
// returns is the caller's to close, also with an error.
func listenAll(n int, ports []int) ([]net.Listener, error) {
	var listeners []net.Listener
	for i := range n {
		l, err := listenOn(ports, i)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func listenOn(ports []int, i int) (net.Listener, error) {
	if ports == nil {
		return loopback.Listen()
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", loopback.Address(ports[i]))
	if loopback.InUse(err) {
		return nil, fmt.Errorf("etcd: %w: %w; its data ties node %d to that port: stop the process that holds it, or begin anew in another folder with embedded.WithDir", ErrPortInUse, err, i)
	}
	return l, err
}

func (g *etcdGroup) savePeers(listeners []net.Listener) error {
	var text strings.Builder
	for _, l := range listeners {
		text.WriteString(strconv.Itoa(l.Addr().(*net.TCPAddr).Port) + "\n")
	}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return fmt.Errorf("cannot make etcd's data folder: %w", err)
	}
	return os.WriteFile(filepath.Join(g.dir, peersFile), []byte(text.String()), 0o600)
}

func (g *etcdGroup) loadPeers() ([]int, error) {
	path := filepath.Join(g.dir, peersFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ports, err := parsePeers(string(text), len(g.nodes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the folder to begin anew", path, err)
	}
	return ports, nil
}

func parsePeers(text string, count int) ([]int, error) {
	lines := strings.Fields(text)
	if len(lines) != count {
		return nil, fmt.Errorf("has %d ports instead of %d", len(lines), count)
	}
	ports := make([]int, count)
	for i, line := range lines {
		port, err := strconv.ParseUint(line, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("line %d is not a port", i+1)
		}
		ports[i] = int(port)
	}
	return ports, nil
}
