package dispatch

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// KickUsers closes the connections of the users on frontends of the type and
// returns the uids that nobody could be told of.
func (d *Dispatcher) KickUsers(ctx context.Context, frontendType, reason string, uids []string) ([]string, error) {
	var failed, away []string
	var cause error
	for _, uid := range uids {
		here, err := d.kickHere(ctx, frontendType, reason, uid)
		switch {
		case err != nil:
			failed, cause = append(failed, uid), err
		case !here || d.elsewhereToo():
			away = append(away, uid)
		}
	}
	if len(away) == 0 {
		return failed, cause
	}
	others, err := d.kickAway(frontendType, reason, away)
	return append(failed, others...), cmp.Or(cause, err)
}

// elsewhereToo reports whether a user who is here may be on other frontends as well.
func (d *Dispatcher) elsewhereToo() bool { return d.client != nil && d.Pool != nil && d.Pool.Several() }

// kickHere reports false for a user who is not on this server.
func (d *Dispatcher) kickHere(ctx context.Context, frontendType, reason, uid string) (here bool, err error) {
	if d.Pool == nil || frontendType != d.Self.Type {
		return false, nil
	}
	d.Pool.OfUID(uid, func(s *session.Session) {
		if failed := s.Kick(ctx, reason); failed == nil {
			here = true
		} else if !errors.Is(failed, errs.ErrClosed) {
			err = failed
		}
	})
	return here, err
}

// kickAway is pushAway for kicks. Who listens on a user's own subject tells no reason.
func (d *Dispatcher) kickAway(frontendType, reason string, uids []string) ([]string, error) {
	if d.client == nil {
		return uids, errs.ErrSessionNotFound
	}
	switch d.frontends(frontendType) {
	case ours:
		return d.kickLists(frontendType, reason, uids)
	case theirs:
		return d.kickEach(frontendType, uids, &clusterpb.KickMsg{})
	}
	failed, err := d.kickLists(frontendType, reason, uids)
	others, err2 := d.kickEach(frontendType, uids, &clusterpb.KickMsg{Copied: true})
	return union(failed, others), cmp.Or(err, err2)
}

func (d *Dispatcher) kickLists(frontendType, reason string, uids []string) ([]string, error) {
	uids, failed, cause := forLists(uids)
	for list := range slices.Chunk(uids, uidsPerMessage) {
		if err := d.client.KickOnFrontends(frontendType, &clusterpb.KickMsg{Uids: list, Reason: reason}); err != nil {
			failed, cause = append(failed, list...), err
		}
	}
	return failed, cause
}

func (d *Dispatcher) kickEach(frontendType string, uids []string, kick *clusterpb.KickMsg) ([]string, error) {
	var failed []string
	var cause error
	for _, uid := range uids {
		if err := d.client.KickUser(frontendType, uid, kick); err != nil {
			failed, cause = append(failed, uid), err
		}
	}
	return failed, cause
}
