package cereus

import (
	"context"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

// presence makes a frontend's players reachable by uid from the whole cluster
// (wire.md 10.3): it subscribes for them and tells the other frontends.
type presence struct {
	self   *cluster.Server
	server *cluster.RPCServer
	client *cluster.RPCClient
	unique bool
	// here holds the sessions that are subscribed for. An unbind hook also runs
	// for a bind that failed before it subscribed.
	here *xsync.Map[int64, struct{}]
}

func (p *presence) hook(pool *session.Pool) {
	p.here = xsync.NewMap[int64, struct{}]()
	pool.OnBind(p.subscribe)
	if p.unique {
		pool.OnBind(p.announce)
	}
	pool.OnUnbind(p.unsubscribe)
}

func (p *presence) subscribe(_ context.Context, s *session.Session, uid string) error {
	if err := p.server.SubscribeUser(uid); err != nil {
		return err
	}
	p.here.Store(s.ID(), struct{}{})
	return nil
}

// announce ends sessions of the user on other frontends of the type (wire.md
// 10.6). It is always sent: one here that is replaced says nothing of others.
func (p *presence) announce(_ context.Context, _ *session.Session, uid string) error {
	return p.client.AnnounceBind(p.self.Type, &clusterpb.BindMsg{Uid: uid, Fid: p.self.ID})
}

func (p *presence) unsubscribe(_ context.Context, s *session.Session, uid string) {
	if _, was := p.here.LoadAndDelete(s.ID()); was {
		_ = p.server.UnsubscribeUser(uid) // fails only after Shutdown, which drops all
	}
}
