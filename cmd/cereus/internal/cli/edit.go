package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/cluster"
)

type editFlags struct {
	connection

	state      string
	weight     int
	set        []string
	unset      []string
	ifRevision int64
	json       bool
}

func newEdit() *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Change the state, the weight or the metadata of a running server",
		Long: `Change what a running server says of itself. The others see it at once, and the
server takes it over as if it had made the change; it lasts until it restarts.

  --state paused    no new work, until somebody says --state up again
  --state draining  no new work, for the server is to be stopped
  --state busy      new work only when all others of its type are busy, too
  --weight 200      twice the new work of a server that has 100; 0 is 100 again

What is not named stays as it is. The server as it is then is printed. With
--if-revision nothing is done if somebody else changed the server meanwhile: N is
its REVISION in 'cereus servers', or that of your last edit.`,
		Example: `  cereus edit room-1 --state draining
  cereus edit room-1 --state up --weight 50
  cereus edit room-1 --set map=desert --set "motd=back at 9, sorry" --unset event
  cereus edit room-1 --weight 200 --if-revision 1042`,
		GroupID: runningGroup,
		Args:    args(1, 1),
		RunE:    func(cmd *cobra.Command, given []string) error { return runEdit(cmd, given[0], f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.state, "state", "", "new `state`: up, busy, draining or paused")
	flags.IntVar(&f.weight, "weight", 0, fmt.Sprintf("share of new work, `N` from 0 to %d", cluster.MaxWeight))
	flags.StringArrayVar(&f.set, "set", nil, "metadata to set, as `key=value`; may be repeated")
	flags.StringArrayVar(&f.unset, "unset", nil, "`key` of metadata to remove; may be repeated")
	flags.Int64Var(&f.ifRevision, "if-revision", 0, "only if its revision still is `N`")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.register(flags)
	return cmd
}

func runEdit(cmd *cobra.Command, id string, f editFlags) error {
	e, err := f.edit(cmd)
	if err != nil {
		return wrongUse(cmd, err)
	}
	return f.with(cmd, func(ctx context.Context, view *cluster.EtcdDiscovery) error {
		s, err := serverOf(view.Snapshot(), id, f.connection)
		if err != nil {
			return err
		}
		if !s.Cereus() {
			return fmt.Errorf("%s is a Pitaya server, which would not notice: only servers of cereus are edited", id)
		}
		err = f.change(ctx, func(ctx context.Context) error {
			s, err = view.EditServer(ctx, id, e)
			return err
		})
		if err != nil {
			return refused(ctx, view, id, err)
		}
		return printServer(cmd.OutOrStdout(), s, view.Snapshot(), f)
	})
}

// edit is what the flags ask for.
func (f editFlags) edit(cmd *cobra.Command) (cluster.Edit, error) {
	flags, e := cmd.Flags(), cluster.Edit{State: cluster.State(f.state), IfRevision: f.ifRevision}
	if flags.Changed("weight") {
		e.Weight = &f.weight
	}
	states := []cluster.State{cluster.StateUp, cluster.StateBusy, cluster.StateDraining, cluster.StatePaused}
	switch {
	case !slices.ContainsFunc([]string{"state", "weight", "set", "unset"}, flags.Changed):
		return e, errors.New("nothing to change: use --state, --weight, --set or --unset")
	case flags.Changed("state") && !slices.Contains(states, e.State):
		return e, fmt.Errorf("--state %q is none: use up, busy, draining or paused", f.state)
	case f.weight < 0 || f.weight > cluster.MaxWeight:
		return e, fmt.Errorf("--weight %d: use 0 to %d", f.weight, cluster.MaxWeight)
	case flags.Changed("if-revision") && f.ifRevision <= 0:
		return e, fmt.Errorf("--if-revision %d is none: revisions are above 0, see REVISION in 'cereus servers'", f.ifRevision)
	}
	var err error
	e.Metadata, err = f.metadata()
	return e, err
}

// metadata is what --set and --unset ask for.
func (f editFlags) metadata() (map[string]*string, error) {
	changes := make(map[string]*string, len(f.set)+len(f.unset))
	for _, pair := range f.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %q: use key=value", pair)
		}
		if _, twice := changes[key]; twice {
			return nil, fmt.Errorf("--set names the key %q twice", key)
		}
		changes[key] = &value
	}
	for _, key := range f.unset {
		if key == "" {
			return nil, errors.New("--unset needs a key")
		}
		if changes[key] != nil {
			return nil, fmt.Errorf("--set and --unset both name the key %q", key)
		}
		changes[key] = nil
	}
	return changes, nil
}

// serverOf finds a server that is present.
func serverOf(in *cluster.Snapshot, id string, c connection) (*cluster.Server, error) {
	servers := in.Servers()
	ids := make([]string, 0, len(servers))
	for _, s := range servers {
		if s.ID == id {
			return s, nil
		}
		ids = append(ids, s.ID)
	}
	if len(ids) == 0 {
		return nil, errors.New(c.noServers())
	}
	return nil, fmt.Errorf("no server %q: %s", id, meant(id, ids))
}

// refused says what can be done about an edit that was not made.
func refused(ctx context.Context, view *cluster.EtcdDiscovery, id string, err error) error {
	switch {
	case errors.Is(err, cluster.ErrRevision):
		_ = view.SyncServers(ctx)
		if s, ok := view.Server(id); ok {
			return fmt.Errorf("%s was changed since: it is at revision %d now\n%s\nDecide again, and name that revision", id, s.Revision, describe(s))
		}
	case errors.Is(err, cluster.ErrServerUnknown):
		return fmt.Errorf("%s has just left the cluster", id)
	}
	return err
}

func printServer(w io.Writer, s *cluster.Server, in *cluster.Snapshot, f editFlags) error {
	if f.json {
		return printJSON(w, listed(s, in))
	}
	return table(w, []*cluster.Server{s}, in)
}
