package cluster

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ lifecycle.Module = (*Bindings)(nil)
	_ Listener         = (*Bindings)(nil)
)

// ErrBoundElsewhere is what a bind gets while which its user was bound to another
// session, which holds.
var ErrBoundElsewhere = errs.New(errs.CodeConflict, "the user logged in elsewhere meanwhile")

// errFencedOff refuses a bind under PolicyFence.
var errFencedOff = errs.New(errs.CodeUnavailable,
	"etcd cannot be asked who is logged in: nobody is bound until it answers (cluster.sd.etcd.onloss: fence)")

// BindingsParams is what NewBindings needs.
type BindingsParams struct {
	Self      *Server
	Discovery *EtcdDiscovery
	// Announce tells all frontends of the type of a bind (RPCClient.AnnounceBind).
	Announce func(*clusterpb.BindMsg) error
	// Ask brings a BindMsg to one frontend, whose Bindings.Asked gets it, and
	// returns what that returned.
	Ask func(ctx context.Context, to *Server, m *clusterpb.BindMsg) (holds bool, err error)
	// Ended is told that the user of a session was bound to another one: the
	// session has to end. It is called on a goroutine of its own.
	Ended  func(session int64)
	OnLoss Policy             // PolicyFence refuses binds that cannot be recorded
	Log    logrus.FieldLogger // nil: nothing is logged
}

// Bindings sees to it that a user has one session on all frontends of a type,
// with a record per user in etcd on this server's lease: who wrote it last holds
// the user, and tells the one before until that one has heard it. What comes in
// between (an outage of etcd or NATS, a lost lease, a frontend that died) is
// followed by a comparison of this server's sessions with their records.
//
// It is a lifecycle.Module, and on a backend only Locate is of use. Bind,
// Bound and Unbind are the hooks of session.Pool with those names. Here is also
// the place for resuming sessions: a record outlives a connection when its
// Unbind is put off.
type Bindings struct {
	params  BindingsParams
	log     logrus.FieldLogger
	group   *lifecycle.Group
	records etcdBatch
	wake    chan struct{} // room for one
	seen    atomic.Int64  // the highest revision that etcd told us of
	away    atomic.Bool   // etcd did not answer the last transaction

	mu      sync.Mutex // guards what follows, and what is in the bindings
	held    map[string]*binding
	orphans map[tenure]orphan // records of sessions that are gone, still to be deleted
	untold  map[string]*news  // what frontends that lost users have not heard, by their runs
	all     bool              // compare all bindings, not only those without a record
	sweeps  bool              // orphans are being deleted
}

// binding is a session of this server and its uid. Its owner is whoever set busy.
type binding struct {
	session int64
	epoch   int64 // see Binding; 0: it never had a record that we know of
	rev     int64 // revision of its record; 0: it has none that we know of
	// base is a revision that etcd had when the session was bound: an older record
	// of somebody else is of an earlier login.
	base   int64
	looked bool             // base is of the time of the bind
	floor  int64            // order of the user's session here before, whatever became of it: this one is later
	lease  clientv3.LeaseID // that the record stands on
	rival  int64            // highest epoch that others announced while this was busy, or yielded
	at     time.Time        // when it was announced

	busy     chan struct{} // closed when its owner is done; nil when it has none
	binds    bool          // the owner is Bind, until Bound or Unbind
	dropped  bool          // the session is gone: the owner deletes the record
	put      string        // value that may have been written as its record
	denied   claimant      // was told that the user is held here
	replaced *Binding      // another server's record that was taken over last
	insisted bool          // the others are told again, or will be by Bound
	silent   bool          // it could not be announced
	adrift   bool          // its record may say something else
	before   *binding      // the user's session here until this one is bound
	passed   bool          // before yields to one without a record
}

// recorded reports whether there may be a record.
func (e *binding) recorded() bool { return e.rev != 0 || e.put != "" }

// yielded is a rival, of whatever epoch, that the binding yields to.
const yielded = math.MaxInt64

// order is where the binding stands among the epochs of its user: all up to it
// are earlier.
func (e *binding) order() int64 {
	if e.epoch == 0 && e.looked {
		return e.base
	}
	return e.epoch
}

// NewBindings returns one that does nothing before Init.
func NewBindings(p BindingsParams) *Bindings {
	b := &Bindings{
		params: p, log: orDiscard(p.Log), group: lifecycle.NewGroup(context.Background()), wake: make(chan struct{}, 1),
		held: make(map[string]*binding), orphans: make(map[tenure]orphan), untold: make(map[string]*news),
	}
	b.records = etcdBatch{group: b.group, kv: p.Discovery.whole}
	if p.Self.Frontend {
		p.Discovery.onGap(b.Compare)
	}
	return b
}

// Name says what the module is.
func (b *Bindings) Name() string { return "bindings" }

// Init begins to look after the records.
func (b *Bindings) Init(context.Context) error {
	if b.params.Self.Frontend {
		b.group.Go("bindings", b.run)
	}
	return nil
}

// AfterInit does nothing.
func (b *Bindings) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing.
func (b *Bindings) BeforeShutdown(context.Context) {}

// Shutdown ends what is under way. The records end with the server's lease.
func (b *Bindings) Shutdown(ctx context.Context) error { return b.group.Stop(ctx) }

// Compare has all bindings of this server compared with their records soon:
// something may have been missed. It waits for nothing.
func (b *Bindings) Compare() {
	b.mu.Lock()
	b.all = true
	b.mu.Unlock()
	signal(b.wake)
}

// AddServer is of Listener.
func (b *Bindings) AddServer(Event) {}

// RemoveServer is of Listener. A frontend that died may have taken a user
// without having said so.
func (b *Bindings) RemoveServer(e Event) {
	if b.params.Self.Frontend && e.Type == b.params.Self.Type {
		b.Compare()
	}
}

// Bind records that uid is bound to the session, and announces it. Without etcd
// the announcement alone has to do, and the record follows, unless PolicyFence
// forbids it. Bound or Unbind must follow. Binds of one uid go one after the other.
func (b *Bindings) Bind(ctx context.Context, session int64, uid string) error {
	e, err := b.enter(ctx, session, uid)
	if err != nil {
		return err
	}
	err = b.take(uid, e)
	if err != nil && b.params.OnLoss == PolicyFence {
		b.log.WithError(err).WithField("session", session).Debug("a bind is refused, etcd cannot be asked")
		return errFencedOff
	}
	if err != nil {
		b.log.WithError(err).WithField("session", session).Debug("a bind has no record yet")
	}
	return b.announce(uid, e)
}

// announce tells the others of a new bind. One that is, or may be, recorded can
// do so later.
func (b *Bindings) announce(uid string, e *binding) error {
	b.mu.Lock()
	e.at = time.Now()
	b.mu.Unlock()
	err := b.params.Announce(b.message(uid, e))
	b.mu.Lock()
	defer b.mu.Unlock()
	e.silent = err != nil && e.recorded()
	if e.silent {
		return nil
	}
	return err
}

// enter makes a binding that its caller owns, when no other one of uid is owned.
func (b *Bindings) enter(ctx context.Context, session int64, uid string) (*binding, error) {
	for {
		b.mu.Lock()
		old := b.held[uid]
		if old == nil || old.busy == nil {
			e := &binding{session: session, busy: make(chan struct{}), binds: true, before: old}
			who := tenure{uid, session}
			o := b.orphans[who] // when it had the user before: its record is needed again
			e.rev, e.put = o.rev, o.value
			delete(b.orphans, who)
			if old != nil {
				e.replaced, e.denied, e.floor = old.replaced, old.denied, max(old.order(), old.floor)
			}
			b.held[uid] = e
			b.mu.Unlock()
			return e, nil
		}
		busy := old.busy
		b.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take writes the record, unless etcd is known to be away.
func (b *Bindings) take(uid string, e *binding) error {
	b.mu.Lock()
	e.base = b.seen.Load()
	b.mu.Unlock()
	if b.away.Load() || !b.params.Discovery.IsConnected() {
		return errEtcdAway
	}
	return b.fence(uid, e)
}

func (b *Bindings) message(uid string, e *binding) *clusterpb.BindMsg {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &clusterpb.BindMsg{Uid: uid, Fid: b.params.Self.ID, Session: e.session, Epoch: e.epoch}
	if !e.at.IsZero() {
		m.AgeUs = time.Since(e.at).Microseconds()
	}
	if e.replaced != nil {
		m.ReplacedNonce, m.ReplacedSession = e.replaced.Nonce, e.replaced.Session
	}
	if e.epoch == 0 && e.looked {
		m.Base = e.base
	}
	return m
}

// Bound ends a Bind that went well. ErrBoundElsewhere when another frontend
// took the user meanwhile; the session is then ended, too.
func (b *Bindings) Bound(session int64, uid string) error {
	b.mu.Lock()
	e := b.held[uid]
	if e == nil || e.session != session {
		b.mu.Unlock()
		return ErrBoundElsewhere
	}
	e.before = nil
	lost := b.releaseLocked(uid, e)
	unsure := e.epoch == 0 || e.adrift
	if e.insisted && !lost {
		b.insist(uid, e)
	}
	b.mu.Unlock()
	if lost {
		b.end(session)
		return ErrBoundElsewhere
	}
	if _, err := b.params.Discovery.lease(); unsure && err == nil { // else a gap is told with the lease
		signal(b.wake)
	}
	return nil
}

// releaseLocked ends the ownership of e, and reports whether e lost its user to
// another frontend meanwhile; it is not held then.
func (b *Bindings) releaseLocked(uid string, e *binding) (lost bool) {
	close(e.busy)
	rival := e.rival
	e.busy, e.binds, e.rival = nil, false, 0
	if rival <= e.order() || e.order() == 0 && rival != yielded { // without either, it is the younger
		return false
	}
	delete(b.held, uid)
	if e.epoch == 0 || rival == yielded { // else the record is the rival's
		b.forgetLocked(uid, e)
	}
	return true
}

// Unbind gives the user of the session up, also in the middle of its Bind.
func (b *Bindings) Unbind(session int64, uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.held[uid]
	switch {
	case e == nil:
	case e.session == session:
		b.dropLocked(uid, e)
	case e.before != nil && e.before.session == session:
		if e.epoch == 0 { // else its record is the next one's by now
			b.forgetLocked(uid, e.before)
		}
		e.before = nil
	}
}

// dropLocked takes e out of held, and deletes its record or puts the session
// back that it was to follow.
func (b *Bindings) dropLocked(uid string, e *binding) {
	if e.busy != nil && !e.binds {
		e.dropped = true // the next one of the user waits for the owner
		return
	}
	if e.busy != nil {
		close(e.busy)
		e.busy = nil
	}
	delete(b.held, uid)
	if old := e.before; old == nil || !b.restoreLocked(uid, old, e) {
		b.forgetLocked(uid, e)
	}
}

// restoreLocked puts the session back that e was to follow. When another
// server's bind came in between, that session ends, too, and false is returned.
func (b *Bindings) restoreLocked(uid string, old, e *binding) bool {
	if e.rival > max(old.epoch, e.epoch) || e.passed && e.epoch == 0 {
		b.end(old.session)
		b.forgetLocked(uid, old)
		return false
	}
	b.held[uid] = old
	if e.recorded() {
		old.rev, old.lease = max(old.rev, e.rev), 0 // the record may be e's
	}
	if e.recorded() || e.adrift {
		old.adrift = true
		signal(b.wake)
	}
	return true
}

// forgetLocked deletes what there may be of the record of e, which nobody needs.
func (b *Bindings) forgetLocked(uid string, e *binding) {
	if !e.recorded() {
		return
	}
	o := orphan{rev: e.rev, value: e.put, lease: e.lease}
	if e.put != "" {
		o.lease = 0 // it was not said on which
	}
	lease, err := b.params.Discovery.lease()
	if err == nil && o.ended(lease) {
		return
	}
	b.orphans[tenure{uid, e.session}] = o
	if err == nil {
		b.sweepLocked()
	}
}

// key is where the record of a user is in all of etcd: for each transaction a
// client with a prefix copies it, which costs a login a twentieth.
func (b *Bindings) key(uid string) string {
	return b.params.Discovery.params.Prefix + bindingKey(b.params.Self.Type, uid)
}

func (b *Bindings) record(e *binding) *Binding {
	return &Binding{Type: b.params.Self.Type, ServerID: b.params.Self.ID, Nonce: b.params.Self.Nonce, Session: e.session, Epoch: e.epoch}
}

// end has a session ended. User code may run then, so it is done apart.
func (b *Bindings) end(session int64) {
	b.group.Go("end of a session", func(context.Context) { b.params.Ended(session) })
}

var errEtcdAway = errors.New("etcd is away")
