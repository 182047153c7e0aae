package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/cluster"
)

type serversFlags struct {
	connection

	types []string
	watch bool
	json  bool
}

func newServers() *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use:   "servers",
		Short: "Show who is in a cluster, once or as it changes",
		Long: `Show the servers that are registered in etcd, those of Pitaya included.

  STATE     up, busy, draining or paused; the last two are given no new work
  WEIGHT    the share of new work: one of 200 is given twice as much as one of 100
  LEADER    yes: it leads its type; by hand: an operator chose it to
  EPOCH     etcd's revision when it registered: the higher of two started later
  REVISION  etcd's revision when it last changed (see cereus edit --if-revision)

With --watch changes follow as they come, until Ctrl-C, with the reason in brackets:
  + a server came      present (from the start), joined, returned
  - a server is gone   left (on purpose), crashed, replaced (by another run of it)
  ~ it changed         changed, and from what to what
  * a type's leader    elected, chosen (by hand), vacant

--json prints one array, with --watch one object per line, such as
  {"event":"up","reason":"joined","type":"room","server":{...}}
with event up, down, update or leader. A weight of 0 there counts as 100.
Servers of Pitaya look at the prefix "pitaya/".`,
		Example: `  cereus servers
  cereus servers --type room --watch
  cereus servers --endpoints etcd-1:2379,etcd-2:2379
  cereus servers --prefix pitaya/ --json | jq -r '.[].id'
  cereus servers --json | jq -r '.[] | select(.leader) | .id'
  cereus servers --user reader --pass-file ~/.etcd-pass
  cereus servers --endpoints https://etcd-1:2379 --ca ca.pem --cert me.pem --key me-key.pem`,
		GroupID: runningGroup,
		Args:    args(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServers(cmd, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVarP(&f.types, "type", "t", nil, "show only servers of these `types`, separated by commas")
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on and show changes as they come")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.register(flags)
	return cmd
}

func runServers(cmd *cobra.Command, f serversFlags) error {
	for _, serverType := range f.types {
		if !cluster.ValidServerName(serverType) {
			return wrongUse(cmd, fmt.Errorf("--type %q is none: types have 1 to 64 of A-Z a-z 0-9 _ . -", serverType))
		}
	}
	err := f.with(cmd, func(ctx context.Context, view *cluster.EtcdDiscovery) error {
		if f.watch {
			return watchServers(ctx, cmd, view, f)
		}
		return listServers(cmd.OutOrStdout(), view.Snapshot(), f)
	})
	if f.watch && errors.Is(err, errInterrupted) {
		return nil // that is how a watch ends
	}
	return err
}

// shows reports whether servers of a type are asked for.
func (f serversFlags) shows(serverType string) bool {
	return len(f.types) == 0 || slices.Contains(f.types, serverType)
}
