package dispatch

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

// Users serves what other servers send to the players of this frontend (it is
// the cluster.UserHandler of the app).
type Users struct{ D *Dispatcher }

var _ cluster.UserHandler = Users{}

// HandlePush pushes to the users that are here; the others are somebody else's.
func (u Users) HandlePush(push *clusterpb.Push) {
	if u.D.did(push.GetDone()) {
		return
	}
	var err error
	switch uids := push.GetUids(); {
	case push.GetEveryone() != nil:
		err = u.D.pushToEveryone(push)
	case push.GetSession() != 0 && u.D.Pool.Several():
		err = u.pushOne(push)
	default:
		if uid := push.GetUid(); uid != "" {
			uids = append(uids, uid)
		}
		_, err = u.D.pushHere(push, uids)
	}
	if err != nil {
		u.D.Log.WithError(err).WithField("route", push.GetRoute()).Warn("a push from another server cannot be sent to clients")
	}
}

// pushOne pushes to the one session of its user that is meant.
func (u Users) pushOne(push *clusterpb.Push) error {
	packet, err := u.D.packet(push)
	if err != nil {
		return err
	}
	var t tally
	u.D.sessionsOf(push.GetUid(), push.GetSession(), func(s *session.Session) { u.D.write(s, packet, &t) })
	u.D.count(&t)
	return nil
}

// HandleKick closes the connections of the users that are here.
func (u Users) HandleKick(kick *clusterpb.KickMsg) {
	for _, uid := range kick.GetUids() {
		u.D.sessionsOf(uid, kick.GetSession(), func(s *session.Session) { u.kick(s, kick.GetReason()) })
	}
}

// bound is HandleBind as a remote, for those who have to know that it was heard.
func (s *system) bound(_ context.Context, arg *clusterpb.BindMsg) (*clusterpb.BoundAnswer, error) {
	if s.d.Asked == nil {
		return &clusterpb.BoundAnswer{}, nil
	}
	return &clusterpb.BoundAnswer{Holds: s.d.Asked(arg)}, nil
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

// HandleBind ends the session that the user has here when it was bound on
// another frontend (wire.md 10.6), if Params.Heard does not know better. Where a
// user has one session per device, only that of the same device ends.
func (u Users) HandleBind(bind *clusterpb.BindMsg) {
	if u.D.Heard != nil {
		u.D.Heard(bind)
		return
	}
	if bind.GetFid() == u.D.Self.ID {
		return
	}
	u.D.Pool.OfUID(bind.GetUid(), func(s *session.Session) {
		if !bind.GetOneDevice() || u.D.Pool.Device(s) == bind.GetDevice() {
			u.replace(s)
		}
	})
}

// replacer is an entity that tells a user who logged in elsewhere from one who
// was kicked.
type replacer interface{ Replace() }

func (u Users) replace(s *session.Session) {
	if r, ok := s.Entity().(replacer); ok {
		u.D.group.Go("replace", func(context.Context) { r.Replace() })
		return
	}
	u.kick(s, "")
}

// kick runs beside the caller, because the hooks of a session may take their time.
func (u Users) kick(s *session.Session, reason string) {
	u.D.group.Go("kick", func(ctx context.Context) {
		if err := s.Kick(ctx, reason); err != nil {
			u.D.Log.WithError(err).Debug("a session that was to be kicked is gone")
		}
	})
}

// sessionsOf calls fn for the user's sessions that are here. Where there may be
// several, an id that is not 0 means one of them.
func (d *Dispatcher) sessionsOf(uid string, id int64, fn func(*session.Session)) {
	if d.Pool == nil || uid == "" {
		return
	}
	d.Pool.OfUID(uid, func(s *session.Session) {
		if id == 0 || !d.Pool.Several() || s.ID() == id {
			fn(s)
		}
	})
}
