package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/embedded"
)

// etcd starts one and returns its endpoint.
func etcd(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	c, err := embedded.Start(ctx, embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		assert.NoError(t, c.Stop(ctx))
	})
	return c.EtcdEndpoints()[0]
}

// join registers a server; the result makes it leave.
func join(t *testing.T, endpoint string, self *cluster.Server) (*cluster.EtcdDiscovery, func()) {
	t.Helper()
	d, err := cluster.NewEtcdDiscovery(cluster.EtcdParams{Self: self, Endpoints: []string{endpoint}, BootTimeout: long})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	require.NoError(t, d.Init(ctx))
	require.NoError(t, d.Register(ctx))
	left := false
	leave := func() {
		if left {
			return
		}
		left = true
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		assert.NoError(t, d.Shutdown(ctx))
	}
	t.Cleanup(leave)
	return d, leave
}

func server(id, kind string) *cluster.Server {
	return &cluster.Server{
		ID: id, Type: kind, Frontend: kind == "connector", Hostname: "host-" + id, State: cluster.StateUp,
		Metadata: map[string]string{"region": "eu\x1b[31m"},
	}
}

func TestServersTableAndJSON(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	p, code := run(t, "", "servers", "--endpoints", at)
	require.Zero(t, code)
	require.Contains(t, p.out.String(), "no servers below cereus/servers/")
	p, code = run(t, "", "servers", "--endpoints", at, "--json")
	require.Zero(t, code)
	require.Equal(t, "[]\n", p.out.String())

	join(t, at, server("c-1", "connector"))
	join(t, at, server("r-1", "room"))
	p, code = run(t, "", "servers", "--endpoints", at)
	require.Zero(t, code)
	lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, []string{"ID", "TYPE", "FRONTEND", "STATE", "WEIGHT", "LEADER", "HOSTNAME", "EPOCH", "REVISION", "METADATA"}, strings.Fields(lines[0]))
	require.Regexp(t, `^c-1 +connector +yes +up +100 +(yes|no) +host-c-1 +\d+ +\d+ +region=eu`, lines[1])
	require.Regexp(t, `^r-1 +room +no +up +100 +(yes|no) +host-r-1 +\d+ +\d+ +region=eu`, lines[2])
	require.NotContains(t, p.out.String(), "\x1b")

	p = command(t, "servers", "--json")
	p.cmd.Env = append(p.cmd.Env, "CEREUS_CLUSTER_SD_ETCD_ENDPOINTS="+at)
	require.NoError(t, p.cmd.Start())
	require.Zero(t, p.wait())
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &all))
	require.Len(t, all, 2)
	require.Equal(t, "c-1", all[0]["id"])
	require.Equal(t, true, all[0]["cereus"])
	require.Contains(t, all[0]["caps"], "leader")
	require.NotZero(t, all[0]["revision"])
	require.Contains(t, all[0], "weight")
	require.Contains(t, all[0], "leader")

	p, code = run(t, "", "servers", "--endpoints", at, "--type", "room,match")
	require.Zero(t, code)
	require.Contains(t, p.out.String(), "r-1")
	require.NotContains(t, p.out.String(), "c-1")
	p, code = run(t, "", "servers", "--endpoints", at, "--type", "match")
	require.Zero(t, code)
	require.Equal(t, "no servers of type match; there are connector, room\n", p.out.String())

	p, code = run(t, "", "servers", "--endpoints", at, "--prefix", "other/")
	require.Zero(t, code)
	require.Contains(t, p.out.String(), "no servers below other/servers/")
}

func TestServersWatch(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	join(t, at, server("c-1", "connector"))
	text := begin(t, "servers", "--endpoints", at, "--watch")
	lines := begin(t, "servers", "--endpoints", at, "--watch", "--json")
	rooms := begin(t, "servers", "--endpoints", at, "--watch", "--type", "room")
	text.prints("+ c-1 connector frontend up")
	text.prints("weight=100")
	text.prints("(present)")
	text.prints("* connector: c-1 leads (elected, token ")
	lines.prints(`"id":"c-1"`)

	room, leave := join(t, at, server("r-1", "room"))
	text.prints("+ r-1 room backend up")
	text.prints("(joined)")
	text.prints("* room: r-1 leads (elected, token ")
	rooms.prints("* room: r-1 leads (elected, token ") // it may have begun later
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	require.NoError(t, room.Edit(ctx, cluster.Edit{State: cluster.StateDraining}))
	text.prints("(changed: state up to draining)")
	text.prints("* room: nobody leads (vacant)")
	leave()
	text.prints("- r-1 room")
	text.prints("(left)")
	rooms.prints("(left)")
	lines.prints(`"event":"down"`)
	for _, p := range []*process{text, lines, rooms} {
		require.Zero(t, p.interrupt())
	}
	require.Empty(t, text.err.String())
	require.NotContains(t, rooms.out.String(), "connector")
	require.Contains(t, rooms.out.String(), "* room: r-1 leads")

	events := told(t, lines.out.String())
	require.Equal(t, "up present c-1", events[0])
	for _, event := range []string{"leader elected c-1", "up joined r-1", "leader elected r-1", "update changed r-1", "leader vacant "} {
		require.Contains(t, events, event)
	}
	require.Equal(t, "down left r-1", events[len(events)-1])
}

// told is what a watch printed as JSON.
func told(t *testing.T, lines string) []string {
	t.Helper()
	var events []string
	in := bufio.NewScanner(strings.NewReader(lines))
	for in.Scan() {
		var e struct {
			Event, Reason, Type string
			Server              *struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(in.Bytes(), &e))
		require.NotEmpty(t, e.Type)
		event := e.Event + " " + e.Reason + " "
		if e.Server != nil {
			event += e.Server.ID
		}
		events = append(events, event)
	}
	return events
}

func TestDev(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	dev := begin(t, "dev", "--etcd-port", "0", "--nats-port", "0", "--data", data)
	dev.prints("Ctrl-C stops both.")
	found := regexp.MustCompile(`etcd is at (\S+), NATS is at nats://(\S+)`).FindStringSubmatch(dev.out.String())
	require.NotNil(t, found, dev.out.String())
	require.Contains(t, dev.out.String(), "CEREUS_CLUSTER_SD_ETCD_ENDPOINTS="+found[1])
	conn, err := net.Dial("tcp", found[2])
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	p, code := run(t, "", "servers", "--endpoints", found[1])
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), "no servers")
	p, code = run(t, "", "servers", "--endpoints", found[1], "--prefix", "pitaya")
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), "did you mean pitaya/?")

	_, port, err := net.SplitHostPort(found[1])
	require.NoError(t, err)
	p, code = run(t, "", "dev", "--etcd-port", port, "--nats-port", "0")
	require.Equal(t, 1, code)
	require.Contains(t, p.err.String(), "cereus: port "+port+", the one for etcd, is in use")
	require.Contains(t, p.err.String(), "choose another with --etcd-port")
	require.NotContains(t, p.err.String(), "embedded.")

	require.Zero(t, dev.interrupt(), dev.err.String())
	require.Contains(t, dev.out.String(), "stopping")
	require.Empty(t, dev.err.String())
	kept, err := os.ReadDir(data)
	require.NoError(t, err)
	require.NotEmpty(t, kept)
}
