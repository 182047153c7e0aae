package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/constants"
)

// Leader is the leader of a type, as this process sees it; false when there is none.
func (d *EtcdDiscovery) Leader(serverType string) (Leader, bool) {
	return d.Snapshot().Leader(serverType)
}

// IsLeader reports whether this server leads its type, for certain: it does not
// count on a lease that may have run out.
func (d *EtcdDiscovery) IsLeader() bool {
	run := d.link.Load()
	if run == nil || run.election == nil {
		return false
	}
	t, _ := run.election.current()
	return t.holds()
}

// SetLeader makes a server the leader of its type for as long as it is in the
// cluster, and returns when it is; while it may not be given work, another one
// leads. With id "" the longest registered one leads again. The leader there is
// ends its tasks first, which may take some seconds; it is an error when the choice
// is undone meanwhile. ErrServerUnknown: there is
// no such server of the type; ErrUnfit: it cannot lead, or not in its state.
func (d *EtcdDiscovery) SetLeader(ctx context.Context, serverType, id string) error {
	run := d.link.Load()
	switch {
	case run == nil:
		return ErrNotRunning
	case d.params.Folder != FolderServers:
		return errors.New("only types of servers have leaders")
	case !ValidServerName(serverType):
		return fmt.Errorf("server type %q: use 1 to 64 of A-Z a-z 0-9 _ . -", serverType)
	case id == "":
		_, err := run.store.kv.Delete(ctx, wantedKey(serverType))
		return err
	}
	s, err := d.find(ctx, id)
	switch {
	case err != nil:
		return err
	case s.Type != serverType:
		return fmt.Errorf("server %q is of type %q, not %q: %w", id, s.Type, serverType, ErrServerUnknown)
	case !s.Has(constants.CapLeader):
		return fmt.Errorf("server %q cannot lead: %w: it is a Pitaya server or of an older version", id, ErrUnfit)
	case !s.routable():
		return fmt.Errorf("server %q cannot lead: %w: it is %s", id, ErrUnfit, s.State)
	}
	chosen, err := run.store.claimFor(ctx, wantedKey(serverType), s)
	switch {
	case err != nil:
		return err
	case chosen == 0:
		return fmt.Errorf("server %q of type %q: %w any more", id, serverType, ErrServerUnknown)
	}
	return d.awaitLeader(ctx, s, chosen)
}

// awaitLeader returns when the server that was chosen at a revision leads, or
// its choice is over.
func (d *EtcdDiscovery) awaitLeader(ctx context.Context, s *Server, revision int64) error {
	run := d.link.Load()
	if run == nil {
		return ErrNotRunning
	}
	for {
		seen, news := d.view.next()
		state := seen.leaders[s.Type]
		switch {
		case state.holder == claimOf(s):
			return nil
		case seen.revision < revision: // it does not know of the choice yet
		case state.asked == 0:
			return fmt.Errorf("server %q was chosen and is not any more: it left, or somebody undid it", s.ID)
		case state.wanted != claimOf(s):
			return fmt.Errorf("server %q was chosen, but then somebody chose another: %q", s.ID, state.wanted.ID)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("server %q is chosen but does not lead yet: %w", s.ID, context.Cause(ctx))
		case <-run.group.Context().Done():
			return ErrNotRunning
		}
	}
}

// RunAsLeader runs a task on exactly one server of a type, which must be this
// server's own: fn runs while this server leads, with a context that is
// cancelled, with cause ErrLeadershipLost, when it does no more, and with the
// fencing token to give to what it writes to. When fn returns while this server
// leads, RunAsLeader returns its result (a panic is an error); after a loss it
// waits to lead again. It returns when ctx ends, too. It may be called before the
// server starts, and returns ErrNotRunning when that shuts down.
//
// Leadership is handed on when fn has returned, or 5 s after it was cancelled; when
// this server leaves the cluster, three quarters of RevokeTimeout after, if that is less.
// A leader that is cut off from etcd is cancelled before its lease can end there.
func (d *EtcdDiscovery) RunAsLeader(ctx context.Context, serverType string, fn func(ctx context.Context, token int64) error) error {
	switch {
	case d.params.Self == nil:
		return errObserver
	case serverType != d.params.Self.Type:
		return fmt.Errorf("run as leader of type %q: this server is of type %q", serverType, d.params.Self.Type)
	}
	select {
	case <-d.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	run := d.link.Load()
	if run == nil {
		return ErrNotRunning
	}
	for {
		t, next := run.election.current()
		if t != nil && t.enter() {
			if err := t.run(ctx, fn); !errors.Is(err, errTermOver) {
				return err
			}
			continue
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-run.group.Context().Done():
			return ErrNotRunning
		}
	}
}
