package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/constants"
)

// handOver is how long a leader may take, at most, to end its tasks and be
// followed by another.
const handOver = 10 * time.Second

type leaderFlags struct {
	connection

	auto bool
	json bool
}

func newLeader() *cobra.Command {
	var f leaderFlags
	cmd := &cobra.Command{
		Use:   "leader TYPE [ID | --auto]",
		Short: "Show or choose the server that leads its type",
		Long: `Show the leader of a server type: the one server of the type that does what only
one may do (RunAsLeader). With an ID, make that server the leader; with --auto,
give it back to the longest registered.

A server that was chosen leads as long as it is in the cluster, except while it is
draining or paused. The leader there is ends its tasks first: that may take some
seconds, and the command waits for it, --timeout and 10 s at most.

The token rises with each change of the leader, so that what a former one still
writes can be told and refused. With --json it is printed as
  {"type":"room","id":"room-1","token":1042,"by_hand":false}
A type that nobody leads is a failure (exit code 1).`,
		Example: `  cereus leader room
  cereus leader room room-2
  cereus leader room --auto`,
		GroupID: runningGroup,
		Args:    args(1, 2),
		RunE:    func(cmd *cobra.Command, given []string) error { return runLeader(cmd, given, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.auto, "auto", false, "let the longest registered server lead again")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.register(flags)
	return cmd
}

func runLeader(cmd *cobra.Command, given []string, f leaderFlags) error {
	if len(given) == 2 && f.auto {
		return wrongUse(cmd, errors.New("an ID and --auto do not go together"))
	}
	return f.with(cmd, func(ctx context.Context, view *cluster.EtcdDiscovery) error {
		if err := f.checkType(view.Snapshot(), given[0]); err != nil {
			return err
		}
		var err error
		switch {
		case len(given) == 2:
			err = f.choose(ctx, view, given[0], given[1])
		case f.auto:
			err = f.giveBack(ctx, view, given[0])
		}
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), view.Snapshot(), given[0])
	})
}

func (f leaderFlags) checkType(in *cluster.Snapshot, serverType string) error {
	switch {
	case len(in.Types()) == 0:
		return errors.New(f.noServers())
	case !slices.Contains(in.Types(), serverType):
		return fmt.Errorf("no servers of type %q: %s", serverType, meant(serverType, in.Types()))
	}
	return nil
}

// choose makes a server the leader.
func (f leaderFlags) choose(ctx context.Context, view *cluster.EtcdDiscovery, serverType, id string) error {
	if err := f.checkCandidate(view.Snapshot(), serverType, id); err != nil {
		return err
	}
	leads := func(in *cluster.Snapshot) bool {
		l, _ := in.Leader(serverType)
		return l.ID == id && l.ByHand
	}
	bounded, cancel := context.WithTimeout(ctx, f.timeout+handOver)
	defer cancel()
	err := view.SetLeader(bounded, serverType, id)
	switch {
	case err == nil && await(bounded, view, leads):
		return nil
	case err != nil && bounded.Err() == nil:
		return f.denied(err)
	}
	return unsettled(ctx, view, serverType, id)
}

// checkCandidate says what to do about a server that cannot lead.
func (f leaderFlags) checkCandidate(in *cluster.Snapshot, serverType, id string) error {
	s, err := serverOf(in, id, f.connection)
	switch {
	case err != nil:
		return err
	case s.Type != serverType:
		return fmt.Errorf("%s is of type %s, not %s: %s", id, s.Type, serverType, known(idsOf(in, serverType)))
	case !s.Has(constants.CapLeader):
		return fmt.Errorf("%s cannot lead: it is a Pitaya server, or of an older version", id)
	case !slices.Contains(in.ServersByType(serverType), s):
		return fmt.Errorf("%s cannot lead while it is %s: say 'cereus edit %s --state up' first", id, clean(string(s.State)), id)
	}
	return nil
}

func idsOf(in *cluster.Snapshot, serverType string) []string {
	var ids []string
	for _, s := range in.Servers() {
		if s.Type == serverType {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// giveBack has the longest registered server lead.
func (f leaderFlags) giveBack(ctx context.Context, view *cluster.EtcdDiscovery, serverType string) error {
	err := f.change(ctx, func(ctx context.Context) error { return view.SetLeader(ctx, serverType, "") })
	if err != nil {
		return err
	}
	leads := func(in *cluster.Snapshot) bool {
		l, _ := in.Leader(serverType)
		return !l.ByHand && l.ID == oldest(in, serverType)
	}
	bounded, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	if !await(bounded, view, leads) {
		return unsettled(ctx, view, serverType, oldest(view.Snapshot(), serverType))
	}
	return nil
}

// oldest is the longest registered server of a type that can lead; "" when none can.
func oldest(in *cluster.Snapshot, serverType string) string {
	var first *cluster.Server
	for _, s := range in.ServersByType(serverType) {
		if s.Has(constants.CapLeader) && (first == nil || s.Epoch < first.Epoch) {
			first = s
		}
	}
	if first == nil {
		return ""
	}
	return first.ID
}

// unsettled says why a choice is not in force yet.
func unsettled(ctx context.Context, view *cluster.EtcdDiscovery, serverType, id string) error {
	look := fmt.Sprintf("look with 'cereus leader %s'", serverType)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: whether the change was made is not known, %s", errInterrupted, look)
	case view.Stale():
		return fmt.Errorf("etcd does not answer: whether the change was made is not known, %s", look)
	}
	return fmt.Errorf("%s is chosen and does not lead %s yet: the present leader still has to end its tasks, %s", id, serverType, look)
}

// await waits until done says so of the view; false when ctx ended first.
func await(ctx context.Context, view *cluster.EtcdDiscovery, done func(*cluster.Snapshot) bool) bool {
	at := view.Snapshot()
	if done(at) {
		return true
	}
	for _, err := range view.Follow(ctx, at.Seq()) {
		if err != nil {
			return false
		}
		if done(view.Snapshot()) {
			return true
		}
	}
	return false
}

func (f leaderFlags) show(w io.Writer, in *cluster.Snapshot, serverType string) error {
	l, ok := in.Leader(serverType)
	if !ok {
		return nobodyLeads(in, serverType)
	}
	if f.json {
		return printJSON(w, struct {
			Type   string `json:"type"`
			ID     string `json:"id"`
			Token  int64  `json:"token"`
			ByHand bool   `json:"by_hand"`
		}{serverType, l.ID, l.Token, l.ByHand})
	}
	reason := cluster.ReasonElected
	if l.ByHand {
		reason = cluster.ReasonChosen
	}
	_, err := fmt.Fprintln(w, leaderLine(serverType, clean(l.ID), reason, l.Token))
	return err
}

// nobodyLeads says why.
func nobodyLeads(in *cluster.Snapshot, serverType string) error {
	why := "the next one has not taken over yet, ask again"
	if oldest(in, serverType) == "" {
		why = "none of its servers is up or busy, and of a version of cereus that can"
	}
	return fmt.Errorf("nobody leads %s: %s", serverType, why)
}
