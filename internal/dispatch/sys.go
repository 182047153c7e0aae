package dispatch

import (
	"context"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// The remotes that every server has (wire.md 10.2).
const (
	serviceSys       = "sys"
	routeBindSession = "sys.bindsession"
	routePushSession = "sys.pushsession"
	routeKick        = "sys.kick"
	routeProbe       = "sys.probe" // ours: Pitaya's servers do not have it
)

// system answers the servers that serve this one's players.
type system struct{ d *Dispatcher }

// Routes lists the sys remotes.
func (s *system) Routes(r *component.Routes) {
	component.Remote(r, "bindsession", s.bind)
	component.Remote(r, "pushsession", s.push)
	component.Remote(r, "kick", s.kick)
	component.RemoteRaw(r, "probe", s.probe)
}

func (d *Dispatcher) addSystemRemotes() error {
	return d.Table.RegisterRemote(&system{d: d}, component.WithName(serviceSys))
}

// probe tells which run of the server answers.
func (s *system) probe(context.Context, []byte) ([]byte, error) { return []byte(s.d.Self.Nonce), nil }

// doubleAck is the reply of the first two: a Response inside the Response's data.
func doubleAck() *clusterpb.Response { return &clusterpb.Response{Data: []byte(ack)} }

func (s *system) bind(ctx context.Context, arg *clusterpb.Session) (*clusterpb.Response, error) {
	if arg.GetUid() == "" {
		return nil, errs.ErrIllegalUID
	}
	found, err := s.byID(arg.GetId())
	if err != nil {
		return nil, err
	}
	if err := found.Bind(ctx, arg.GetUid()); err != nil {
		return nil, err
	}
	return doubleAck(), nil
}

func (s *system) push(_ context.Context, arg *clusterpb.Session) (*clusterpb.Response, error) {
	found, err := s.byID(arg.GetId())
	if err != nil {
		return nil, err
	}
	if len(arg.GetChanged()) > 0 {
		err = found.Merge(arg.GetChanged())
	} else {
		err = found.Replace(arg.GetData())
	}
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err)
	}
	return doubleAck(), nil
}

func (s *system) kick(ctx context.Context, arg *clusterpb.KickMsg) (*clusterpb.KickAnswer, error) {
	if s.d.Pool == nil {
		return nil, errs.ErrSessionNotFound
	}
	found, ok := s.d.Pool.ByUID(arg.GetUserId())
	if !ok {
		return nil, errs.ErrSessionNotFound
	}
	if err := found.Kick(ctx, ""); err != nil {
		return nil, err
	}
	return &clusterpb.KickAnswer{Kicked: true}, nil
}

func (s *system) byID(id int64) (*session.Session, error) {
	if s.d.Pool != nil {
		if found, ok := s.d.Pool.ByID(id); ok {
			return found, nil
		}
	}
	return nil, errs.ErrSessionNotFound
}
