package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// taskPatience is how long a leader that steps down waits for its tasks to end
	// before the next one leads.
	taskPatience = 5 * time.Second
	// electionTimeout bounds one transaction of an election.
	electionTimeout = 3 * time.Second
	// firstElection and lastElection bound the pauses between such that failed.
	firstElection = 20 * time.Millisecond
	lastElection  = time.Second
)

// election has this server lead its type when it should, and stop when it
// should not. Who should is in everybody's view (Snapshot.heir); who does is in
// etcd, where the leader itself hands it on, and the heir takes what is vacant.
type election struct {
	reg    *Registration
	view   *view
	log    logrus.FieldLogger
	wake   chan struct{} // look again; room for one
	pauses pauses        // of run

	mu    sync.Mutex    // guards what follows
	term  *term         // the latest; nil before the first
	begun chan struct{} // closed when a term begins; nil when nobody waits
}

func newElection(reg *Registration, v *view) *election {
	e := &election{reg: reg, view: v, log: reg.log, wake: make(chan struct{}, 1), pauses: newPauses(firstElection, lastElection)}
	reg.arrived = func() { signal(e.wake) }
	reg.parting, reg.parted = e.end, e.part
	return e
}

// run does what the view and the lease ask, until ctx ends.
func (e *election) run(ctx context.Context) {
	for ctx.Err() == nil {
		seen, news := e.view.next()
		var again <-chan time.Time
		if wait := e.step(ctx, seen); wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-news:
		case <-e.wake:
		case <-again:
		}
	}
	e.end()
}

// step does the next thing and says after which time to look again; 0 is when
// there is news.
func (e *election) step(ctx context.Context, seen *Snapshot) time.Duration {
	self, heir := claimOf(e.reg.Self()), seen.heir(e.reg.Self().Type)
	state := seen.leaders[e.reg.Self().Type]
	known, should := state.holder == self, heir != nil && claimOf(heir) == self
	leads := known && state.lease == e.reg.lease.id() // else the view has yet to hear that the last lease ended
	if !leads || !e.reg.Registered() {
		e.end()
	}
	switch {
	case !e.reg.Registered():
		return 0 // until it arrived
	case leads && should:
		e.begin(ctx, state)
		return e.reg.lease.left()
	case should && (known || state.holder == claim{}):
		return e.vote(ctx, heir, state)
	case known:
		e.finish(ctx, taskPatience)
		return e.vote(ctx, heir, state)
	}
	return 0
}

// vote makes the heir the leader, or nobody without one, if the key is as it was seen.
func (e *election) vote(ctx context.Context, heir *Server, seen leadership) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, electionTimeout)
	defer cancel()
	done, err := e.reg.store.elect(ctx, heir, seen)
	if err != nil {
		e.log.WithError(err).WithField("type", e.reg.Self().Type).Debug("the leader could not be changed in etcd")
	}
	if done {
		e.pauses.reset()
		return 0
	}
	return e.pauses.after(err) // unless there is news before
}

func (s *etcdStore) elect(ctx context.Context, heir *Server, seen leadership) (bool, error) {
	if heir == nil {
		key := leaderKey(seen.serverType)
		txn, err := s.kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", seen.token)).Then(clientv3.OpDelete(key)).Commit()
		return err == nil && txn.Succeeded, err
	}
	key := leaderKey(heir.Type)
	done, err := s.claimFor(ctx, key, heir, clientv3.Compare(clientv3.ModRevision(key), "=", seen.token))
	return done != 0, err
}

// begin starts a term unless it has begun already, or the registration ends: then
// part has ended the last term, or waits for the lock to do so. A term with
// another token is over, even if nobody noticed who led in between.
func (e *election) begin(ctx context.Context, l leadership) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.reg.Registered() {
		return
	}
	if !e.term.holds() || e.term.token != l.token {
		e.term.stop()
		e.term = newTerm(ctx, l, &e.reg.lease)
		e.log.WithField("token", l.token).Info("this server leads its type")
	}
	if e.begun != nil { // also for who could not enter while the lease was in doubt
		close(e.begun)
		e.begun = nil
	}
}

// current is the latest term, nil before the first, and a channel that is closed
// when the next one begins.
func (e *election) current() (*term, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.begun == nil {
		e.begun = make(chan struct{})
	}
	return e.term, e.begun
}

// end ends the term, if there is one, without waiting for its tasks.
func (e *election) end() { e.finish(context.Background(), 0) }

// finish ends the term and waits for its tasks.
func (e *election) finish(ctx context.Context, patience time.Duration) {
	t, _ := e.current()
	if t == nil {
		return
	}
	if t.ctx.Err() == nil {
		e.log.WithField("token", t.token).Info("this server stops leading its type")
	}
	if !t.finish(ctx, patience) && patience > 0 {
		e.log.WithField("token", t.token).Warn("a task of the leader goes on although it was cancelled")
	}
}

// part lets the tasks end before the lease is given back.
func (e *election) part(ctx context.Context) {
	e.finish(ctx, taskPatience)
}
