package cereus

import (
	"context"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

// presence makes a frontend's players known to the other frontends (wire.md 10.3).
type presence struct {
	self   *cluster.Server
	client *cluster.RPCClient
	unique bool
	pool   *session.Pool
	log    logrus.FieldLogger
	// subjects makes the players reachable for servers that go by their subjects.
	subjects *userSubjects
}

func (p *presence) hook(pool *session.Pool) {
	p.pool = pool
	p.subjects.hook(pool)
	if p.unique {
		pool.OnBind(p.announce)
	}
}

// announce ends sessions of the user on other frontends of the type (wire.md
// 10.6). It is always sent: one here that is replaced says nothing of others.
func (p *presence) announce(_ context.Context, s *session.Session, uid string) error {
	return p.client.AnnounceBind(p.self.Type, &clusterpb.BindMsg{
		Uid: uid, Fid: p.self.ID, Device: p.pool.Device(s), OneDevice: p.pool.Several(),
	})
}
