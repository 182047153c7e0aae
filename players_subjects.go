package cereus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/session"
)

// settleTime bounds how long a bind waits for NATS to know of its user.
const settleTime = time.Second

// userSubjects subscribes to the subjects of a frontend's players (wire.md
// section 7), while the cluster has a server that uses them: one without
// CapPush. The others use subjects that frontends share.
//
// It is a Module, which subscribes for those who are here already when such a
// server comes, and a cluster.Listener.
type userSubjects struct {
	server *cluster.RPCServer
	pool   *session.Pool
	log    logrus.FieldLogger
	group  *lifecycle.Group
	// always: this server does not see every server that may use the subjects.
	always bool

	wanted atomic.Bool         // some server uses the subjects
	users  map[string]struct{} // ids of those servers; of the listener only

	mu   sync.Mutex         // guards here, and the order of subscribing and not
	here map[int64]struct{} // sessions that are subscribed for
}

func newUserSubjects(server *cluster.RPCServer, log logrus.FieldLogger) *userSubjects {
	return &userSubjects{
		server: server, log: log, group: lifecycle.NewGroup(context.Background()),
		users: make(map[string]struct{}), here: make(map[int64]struct{}),
	}
}

func (u *userSubjects) hook(pool *session.Pool) {
	u.pool = pool
	pool.OnBind(u.bind)
	pool.OnAfterBind(u.bound)
	pool.OnUnbind(u.unbind)
}

// bind subscribes before the user can be found: who hears of the bind may push
// at once.
func (u *userSubjects) bind(ctx context.Context, s *session.Session, uid string) error {
	if !u.inUse() {
		return nil
	}
	if err := u.subscribe(s, uid); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime) // while NATS is away nobody can push
	defer cancel()
	if err := u.server.Settle(ctx); err != nil {
		u.log.WithError(err).WithField("session", s.ID()).Debug("a bind did not wait for its subscription")
	}
	return nil
}

// bound looks again, now that subscribeAll can find the session: the first user
// of the subjects may have come in between.
func (u *userSubjects) bound(_ context.Context, s *session.Session, uid string) error {
	if !u.inUse() {
		return nil
	}
	return u.subscribe(s, uid)
}

func (u *userSubjects) unbind(_ context.Context, s *session.Session, uid string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, was := u.here[s.ID()]; was {
		delete(u.here, s.ID())
		_ = u.server.UnsubscribeUser(uid) // fails only after Shutdown, which drops all
	}
}

func (u *userSubjects) inUse() bool { return u.always || u.wanted.Load() }

// subscribe subscribes for s, once. It waits for nothing.
func (u *userSubjects) subscribe(s *session.Session, uid string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.subscribeLocked(s, uid)
}

func (u *userSubjects) subscribeLocked(s *session.Session, uid string) error {
	if _, done := u.here[s.ID()]; done {
		return nil
	}
	if err := u.server.SubscribeUser(uid); err != nil {
		return err
	}
	u.here[s.ID()] = struct{}{}
	return nil
}

// AddServer is of cluster.Listener.
func (u *userSubjects) AddServer(e cluster.Event) { u.consider(e.Server) }

// UpdateServer is of cluster.ServerUpdater.
func (u *userSubjects) UpdateServer(e cluster.Event) { u.consider(e.Server) }

// RemoveServer is of cluster.Listener. What is subscribed stays so until the
// users leave: the servers that used it often come back.
func (u *userSubjects) RemoveServer(e cluster.Event) {
	delete(u.users, e.Server.ID)
	u.wanted.Store(len(u.users) > 0)
}

func (u *userSubjects) consider(s *cluster.Server) {
	if s.Has(constants.CapPush) {
		u.RemoveServer(cluster.Event{Server: s})
		return
	}
	u.users[s.ID] = struct{}{}
	if !u.wanted.Swap(true) {
		u.group.Go("subscribe users", u.subscribeAll)
	}
}

// subscribeAll subscribes for everybody who is bound. Who binds later sees to
// it himself.
func (u *userSubjects) subscribeAll(ctx context.Context) {
	u.pool.Each(func(s *session.Session) bool {
		if err := u.catchUp(s); err != nil {
			u.log.WithError(err).WithField("session", s.ID()).Warn("a player cannot be pushed to by servers that are not cereus")
		}
		return ctx.Err() == nil
	})
}

// catchUp subscribes for s unless it is not, or not any more, the session of
// its user: unbind takes a session off the pool's index first.
func (u *userSubjects) catchUp(s *session.Session) error {
	uid := s.UID()
	if uid == "" {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	here := false
	u.pool.OfUID(uid, func(found *session.Session) { here = here || found == s })
	if !here {
		return nil
	}
	return u.subscribeLocked(s, uid)
}

// Name says what the module is.
func (u *userSubjects) Name() string { return "subjects of users" }

// Init does nothing.
func (u *userSubjects) Init(context.Context) error { return nil }

// AfterInit does nothing.
func (u *userSubjects) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing.
func (u *userSubjects) BeforeShutdown(context.Context) {}

// Shutdown ends a catching up.
func (u *userSubjects) Shutdown(ctx context.Context) error { return u.group.Stop(ctx) }
