package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster"
)

// pitaya registers a server as Pitaya does.
func pitaya(t *testing.T, endpoint, id, kind string) {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: long})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	value := fmt.Sprintf(`{"id":%q,"type":%q,"metadata":{},"frontend":false,"hostname":"h"}`, id, kind)
	_, err = c.Put(ctx, "cereus/servers/"+kind+"/"+id, value)
	require.NoError(t, err)
}

// readerOf makes a user of etcd who may look below cereus/ and not touch, and
// returns the file with the password.
func readerOf(t *testing.T, endpoint string) string {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: long})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	for _, step := range []func() error{
		func() error { _, err := c.RoleAdd(ctx, "root"); return err },
		func() error { _, err := c.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.RoleAdd(ctx, "looks"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "looks", "cereus/", "cereus0", clientv3.PermissionType(clientv3.PermRead))
			return err
		},
		func() error { _, err := c.UserAdd(ctx, "reader", "secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "reader", "looks"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	} {
		require.NoError(t, step())
	}
	t.Cleanup(func() { // for the servers, which are nobody, to leave
		root, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: long, Username: "root", Password: "secret"})
		require.NoError(t, err)
		defer func() { _ = root.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		_, err = root.AuthDisable(ctx)
		require.NoError(t, err)
	})
	file := filepath.Join(t.TempDir(), "pass")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	return file
}

// A user who may only look can look, and hears why he may not touch.
func TestReaderMayNotTouch(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	join(t, at, server("r-1", "room"))
	join(t, at, server("r-2", "room"))
	pass := readerOf(t, at)
	as := []string{"--endpoints", at, "--user", "reader", "--pass-file", pass}
	require.Contains(t, does(t, append([]string{"servers"}, as...)...), "r-1")
	const says = "user reader of etcd may not write below cereus/: name one who may with --user"
	refuses(t, says, append([]string{"edit", "r-1", "--state", "busy"}, as...)...)
	refuses(t, says, append([]string{"leader", "room", "r-2"}, as...)...)
	refuses(t, says, append([]string{"leader", "room", "--auto"}, as...)...)
	admin := []string{"--endpoints", at, "--user", "root", "--pass-file", pass}
	require.Contains(t, does(t, append([]string{"edit", "r-1", "--state", "busy"}, admin...)...), "busy")
}

// refuses runs the program, which must fail and say why.
func refuses(t *testing.T, says string, args ...string) {
	t.Helper()
	p, code := run(t, "", args...)
	require.Equal(t, 1, code, "%s%s", &p.out, &p.err)
	require.Contains(t, p.err.String(), says)
	require.Empty(t, p.out.String())
}

// does runs the program, which must do what it is asked for, and returns what it prints.
func does(t *testing.T, args ...string) string {
	t.Helper()
	p, code := run(t, "", args...)
	require.Zero(t, code, "%s%s", &p.out, &p.err)
	require.Empty(t, p.err.String())
	t.Logf("cereus %v\n%s", args, &p.out)
	return p.out.String()
}

func TestEdit(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	refuses(t, "no servers below cereus/servers/", "edit", "r-1", "--state", "busy", "--endpoints", at)
	room, _ := join(t, at, server("r-1", "room"))
	join(t, at, server("r-2", "room"))
	pitaya(t, at, "p-1", "room")

	out := does(t, "edit", "r-1", "--endpoints", at, "--state", "draining", "--weight", "200",
		"--set", "map=desert", "--set", "motd=back at 9, sorry", "--set", "odd=a=b", "--unset", "region", "--unset", "none")
	require.Regexp(t, `\nr-1 +room +no +draining +200 +(yes|no) +host-r-1 +\d+ +\d+ +map=desert motd=back at 9, sorry odd=a=b\n`, out)
	require.Eventually(t, func() bool {
		self := room.Self()
		return self.State == cluster.StateDraining && self.Weight == 200 && self.Metadata["map"] == "desert"
	}, long, 5*time.Millisecond, "the server takes it over")

	var edited struct {
		State    cluster.State
		Weight   int
		Revision int64
	}
	require.NoError(t, json.Unmarshal([]byte(does(t, "edit", "r-1", "--endpoints", at, "--state", "up", "--json")), &edited))
	require.Equal(t, cluster.StateUp, edited.State)
	require.Equal(t, 200, edited.Weight, "what is not named stays")

	revision := fmt.Sprint(edited.Revision)
	does(t, "edit", "r-1", "--endpoints", at, "--weight", "0", "--if-revision", revision)
	p, code := run(t, "", "edit", "r-1", "--endpoints", at, "--weight", "50", "--if-revision", revision)
	require.Equal(t, 1, code)
	require.Regexp(t, `r-1 was changed since: it is at revision \d+ now\nr-1 room backend up on host-r-1 weight=100 .*\nDecide again`, p.err.String())

	refuses(t, `no server "r-11": did you mean r-1?`, "edit", "r-11", "--state", "busy", "--endpoints", at)
	refuses(t, `no server "elsewhere": there are p-1, r-1, r-2`, "edit", "elsewhere", "--state", "busy", "--endpoints", at)
	refuses(t, "p-1 is a Pitaya server", "edit", "p-1", "--state", "busy", "--endpoints", at)
	refuses(t, "did you mean other/?", "edit", "r-1", "--state", "busy", "--endpoints", at, "--prefix", "other")
}
