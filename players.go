package cereus

import (
	"context"
	"errors"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/session"
)

// errNoCluster: there is no etcd to ask.
var errNoCluster = errors.New("a standalone server keeps no record of logins: Deliver tells who is there")

// hookBindings has every bind of the pool recorded and announced (wire.md 10.6).
// It is always announced: a session here that is replaced says nothing of others.
func hookBindings(pool *session.Pool, bindings *cluster.Bindings) {
	pool.OnBind(func(ctx context.Context, s *session.Session, uid string) error {
		return bindings.Bind(ctx, s.ID(), uid)
	})
	pool.OnAfterBind(func(_ context.Context, s *session.Session, uid string) error {
		return bindings.Bound(s.ID(), uid)
	})
	pool.OnUnbind(func(_ context.Context, s *session.Session, uid string) {
		bindings.Unbind(s.ID(), uid)
	})
}

// checkUID refuses a uid that the subjects of users cannot carry, also while
// nobody uses them.
func (a *App) checkUID(uid string) error {
	if a.server == nil {
		return nil // standalone
	}
	return a.server.CheckUser(uid)
}

// announceDevice ends the session that the user has on the same device on another
// frontend. There is no record of it in etcd: while NATS is away nobody hears.
func (a *App) announceDevice(_ context.Context, s *session.Session, uid string) error {
	err := a.client.AnnounceBind(a.self.Type, &clusterpb.BindMsg{
		Uid: uid, Fid: a.self.ID, Device: a.pool.Device(s), OneDevice: true,
	})
	if err != nil {
		a.log.WithError(err).WithField("session", s.ID()).Debug("a bind could not be announced, the user may have a second session on the device")
	}
	return nil
}

// boundElsewhere ends the session of a user who logged in on another frontend.
func (a *App) boundElsewhere(id int64) {
	if s, ok := a.pool.ByID(id); ok {
		a.replaced(s)
	}
}

// Location is where a user is bound: the id of the frontend, and of the session there.
type Location struct {
	ServerType string
	ServerID   string
	Session    int64
}

// Locate tells where the users are bound, of all that frontends with
// session.unique and session.policy user hold; who is not bound is left out. Of
// users that other policies let log in several times there is no record: Deliver
// tells whether they are there. Any server of the cluster
// can ask, and etcd answers: what Locate tells was so during the call. A frontend
// that died counts until its lease has run out; a bind made while etcd was away
// counts from its return on. With an error the result has what was read before.
func (a *App) Locate(ctx context.Context, uids ...string) (map[string]Location, error) {
	if a.bindings == nil {
		return nil, errNoCluster
	}
	found, err := a.bindings.Locate(ctx, uids)
	at := make(map[string]Location, len(found))
	for uid, b := range found {
		at[uid] = Location{ServerType: b.Type, ServerID: b.ServerID, Session: b.Session}
	}
	return at, err
}

// Online returns those of the uids that are bound somewhere, in their order; see Locate.
func (a *App) Online(ctx context.Context, uids ...string) ([]string, error) {
	at, err := a.Locate(ctx, uids...)
	var online []string
	for _, uid := range uids {
		if _, ok := at[uid]; ok {
			online = append(online, uid)
		}
	}
	return online, err
}
