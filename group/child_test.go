package group_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/internal/childtest"
)

// childEnv is set in a process that is a frontend of a test rather than the
// tests, and has its childParams.
const childEnv = "CEREUSTEST_GROUP_CHILD"

// childParams say where a child keeps its groups: one of Etcd and NATS.
type childParams struct {
	Etcd, NATS string
	Self       group.Holder
	TTL        time.Duration
}

// child is a frontend in a process of its own.
type child struct{ cmd *exec.Cmd }

// spawn starts a child and waits until it can hold members. It is killed when
// the test ends.
func spawn(t testing.TB, p childParams) *child {
	t.Helper()
	params, err := json.Marshal(p)
	require.NoError(t, err)
	cmd, out := childtest.Start(t, childEnv+"="+string(params))
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "up", strings.TrimSpace(line))
	return &child{cmd}
}

// runChild is the main of a child. It ends when the tests do.
func runChild(params string) int {
	ctx := context.Background()
	g, err := childGroups(params)
	if err == nil {
		err = g.Init(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func childGroups(params string) (*group.Groups, error) {
	var p childParams
	if err := json.Unmarshal([]byte(params), &p); err != nil {
		return nil, err
	}
	if p.Etcd != "" {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{p.Etcd}, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		return group.New(group.NewEtcdStore(group.EtcdParams{Client: client, Self: p.Self, TTL: p.TTL})), nil
	}
	nc, err := nats.Connect(p.NATS)
	if err != nil {
		return nil, err
	}
	return group.New(group.NewJetStreamStore(group.JetStreamParams{Conn: nc, Self: p.Self, TTL: p.TTL})), nil
}
