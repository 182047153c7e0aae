package dispatch

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// Users serves what other servers send to the players of this frontend (it is
// the cluster.UserHandler of the app).
type Users struct{ D *Dispatcher }

var _ cluster.UserHandler = Users{}

// HandlePush pushes to the users that are here; the others are somebody else's.
func (u Users) HandlePush(push *clusterpb.Push) {
	uids := push.GetUids()
	if uid := push.GetUid(); uid != "" {
		uids = append(uids, uid)
	}
	if _, err := u.D.pushHere(push.GetRoute(), push.GetData(), uids); err != nil {
		u.D.Log.WithError(err).WithField("route", push.GetRoute()).Warn("a push from another server cannot be sent to clients")
	}
}

// HandleKick closes the connection of the user, if it is here.
func (u Users) HandleKick(uid string) { u.kick(uid) }

// HandleBind ends the session that the user has here when it was bound on
// another frontend (wire.md 10.6).
func (u Users) HandleBind(bind *clusterpb.BindMsg) {
	if bind.GetFid() != u.D.Self.ID {
		u.kick(bind.GetUid())
	}
}

// kick runs beside the caller, because the hooks of a session may take their time.
func (u Users) kick(uid string) {
	s, ok := u.D.Pool.ByUID(uid)
	if !ok {
		return
	}
	u.D.group.Go("kick", func(ctx context.Context) {
		if err := s.Kick(ctx, ""); err != nil {
			u.D.Log.WithError(err).Debug("a session that was to be kicked is gone")
		}
	})
}
