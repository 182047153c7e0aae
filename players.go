package cereus

import (
	"context"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

// settleTime bounds how long a bind waits for NATS to know of its user.
const settleTime = time.Second

// presence makes a frontend's players reachable by uid from the whole cluster
// (wire.md 10.3): it subscribes for them and tells the other frontends.
type presence struct {
	self   *cluster.Server
	server *cluster.RPCServer
	client *cluster.RPCClient
	unique bool
	log    logrus.FieldLogger
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

func (p *presence) subscribe(ctx context.Context, s *session.Session, uid string) error {
	if err := p.server.SubscribeUser(uid); err != nil {
		return err
	}
	p.here.Store(s.ID(), struct{}{})
	// Who hears of the bind may push at once. While NATS is away nobody can.
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := p.server.Settle(ctx); err != nil {
		p.log.WithError(err).WithField("session", s.ID()).Debug("a bind did not wait for its subscription")
	}
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
