package main_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLeader(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	refuses(t, "no servers below cereus/servers/", "leader", "room", "--endpoints", at)
	first, _ := join(t, at, server("r-1", "room"))
	require.Eventually(t, first.IsLeader, long, 5*time.Millisecond)
	second, _ := join(t, at, server("r-2", "room"))
	join(t, at, server("c-1", "connector"))
	pitaya(t, at, "p-1", "room")
	pitaya(t, at, "m-1", "match")

	require.Regexp(t, `^room: r-1 leads \(elected, token \d+\)\n$`, does(t, "leader", "room", "--endpoints", at))
	require.Regexp(t, `\nr-1 +room +no +up +100 +yes `, does(t, "servers", "--endpoints", at))

	require.Regexp(t, `^room: r-2 leads \(chosen, token \d+\)\n$`, does(t, "leader", "room", "r-2", "--endpoints", at))
	require.Eventually(t, second.IsLeader, long, 5*time.Millisecond)
	require.Regexp(t, `\nr-2 +room +no +up +100 +by hand `, does(t, "servers", "--endpoints", at))
	var leader struct {
		Type, ID string
		Token    int64
		ByHand   bool `json:"by_hand"`
	}
	require.NoError(t, json.Unmarshal([]byte(does(t, "leader", "room", "--json", "--endpoints", at)), &leader))
	require.NotZero(t, leader.Token)
	leader.Token = 0
	require.Equal(t, "room r-2 true", leader.Type+" "+leader.ID+" "+map[bool]string{true: "true"}[leader.ByHand])
	var all []struct {
		ID     string
		Leader *struct {
			ByHand bool `json:"by_hand"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(does(t, "servers", "--json", "--type", "room", "--endpoints", at)), &all))
	require.Len(t, all, 3)
	require.Nil(t, all[1].Leader)
	require.True(t, all[2].Leader.ByHand)

	// The one that leads already may be chosen, and chosen again.
	for range 2 {
		require.Regexp(t, `^room: r-1 leads \(chosen, `, does(t, "leader", "room", "r-1", "--endpoints", at))
	}
	does(t, "leader", "room", "r-2", "--endpoints", at)
	for range 2 {
		require.Regexp(t, `^room: r-1 leads \(elected, `, does(t, "leader", "room", "--auto", "--endpoints", at))
	}

	refuses(t, `no servers of type "romo": did you mean room?`, "leader", "romo", "--endpoints", at)
	refuses(t, `no servers of type "romo": did you mean room?`, "leader", "romo", "--auto", "--endpoints", at)
	refuses(t, `no server "r-3": did you mean `, "leader", "room", "r-3", "--endpoints", at)
	refuses(t, "c-1 is of type connector, not room: there are p-1, r-1, r-2", "leader", "room", "c-1", "--endpoints", at)
	refuses(t, "p-1 cannot lead: it is a Pitaya server", "leader", "room", "p-1", "--endpoints", at)
	refuses(t, "nobody leads match: none of its servers", "leader", "match", "--endpoints", at)
	refuses(t, "nobody leads match: none of its servers", "leader", "match", "--auto", "--endpoints", at)
	does(t, "edit", "r-2", "--state", "paused", "--endpoints", at)
	refuses(t, "r-2 cannot lead while it is paused: say 'cereus edit r-2 --state up' first", "leader", "room", "r-2", "--endpoints", at)
}

// A leader whose task does not end lets the operator wait, but not for ever.
func TestLeaderTakesItsTime(t *testing.T) {
	t.Parallel()
	at := etcd(t)
	first, _ := join(t, at, server("r-1", "room"))
	join(t, at, server("r-2", "room"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- first.RunAsLeader(ctx, "room", func(task context.Context, _ int64) error {
			close(began)
			<-task.Done()
			<-ctx.Done() // it does not listen
			return nil
		})
	}()
	<-began
	asked := begin(t, "leader", "room", "r-2", "--endpoints", at)
	require.Eventually(t, func() bool { return !first.IsLeader() }, long, 5*time.Millisecond)
	require.Equal(t, 1, asked.interrupt())
	require.Contains(t, asked.err.String(), "interrupted: ")
	require.Contains(t, asked.err.String(), "'cereus leader room'")

	require.Regexp(t, `^room: r-2 leads \(chosen, `, does(t, "leader", "room", "r-2", "--endpoints", at))
	cancel()
	<-ended
}
