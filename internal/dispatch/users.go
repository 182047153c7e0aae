package dispatch

import (
	"context"

	"google.golang.org/protobuf/proto"

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
// another frontend (wire.md 10.6), if Params.Heard does not know better.
func (u Users) HandleBind(bind *clusterpb.BindMsg) {
	switch {
	case u.D.Heard != nil:
		u.D.Heard(bind)
	case bind.GetFid() != u.D.Self.ID:
		u.kick(bind.GetUid())
	}
}

// bound is HandleBind as a remote, for those who have to know that it was heard.
func (s *system) bound(_ context.Context, arg *clusterpb.BindMsg) (*clusterpb.BoundAnswer, error) {
	if s.d.Heard == nil {
		return &clusterpb.BoundAnswer{}, nil
	}
	return &clusterpb.BoundAnswer{Holds: s.d.Heard(arg)}, nil
}

// AskBound calls the remote sys.bound of a frontend.
func (d *Dispatcher) AskBound(ctx context.Context, to *cluster.Server, bind *clusterpb.BindMsg) (holds bool, err error) {
	data, err := proto.Marshal(bind)
	if err != nil {
		return false, err
	}
	if data, err = d.callOne(ctx, to, routeBound, data); err != nil {
		return false, err
	}
	var answer clusterpb.BoundAnswer
	err = proto.Unmarshal(data, &answer)
	return answer.GetHolds(), err
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
