package cluster

import (
	"context"
	"time"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// Heard is told of a bind that another server announced, and reports whether the
// user is, as far as is known by now, bound here nevertheless. When it was bound
// here earlier, the session ends.
func (b *Bindings) Heard(m *clusterpb.BindMsg) (holds bool) { return b.hear(m, announced) }

// Asked is Heard for a server that asks. When the user is bound here, that one's
// session ends, and what it announced before and comes late counts no more.
func (b *Bindings) Asked(m *clusterpb.BindMsg) (holds bool) { return b.hear(m, asked) }

// hearing is how a bind is heard of.
type hearing int

const (
	announced hearing = iota
	asked
)

// claimant is a session of another server.
type claimant struct {
	server  string
	session int64
}

func claimantOf(m *clusterpb.BindMsg) claimant { return claimant{m.GetFid(), m.GetSession()} }

func (b *Bindings) hear(m *clusterpb.BindMsg, how hearing) (holds bool) {
	if m.GetFid() == b.params.Self.ID {
		return true
	}
	b.mu.Lock()
	e := b.held[m.GetUid()]
	if e == nil || e.dropped {
		b.mu.Unlock()
		return false
	}
	v := b.judgeLocked(e, m)
	if e.busy != nil {
		b.noteLocked(e, m, v)
	}
	ends := v == yields && !e.binds
	switch {
	case ends:
		if m.GetEpoch() > e.rev && e.busy == nil {
			e.rev, e.put = 0, "" // the record is the other's
		}
		b.dropLocked(m.GetUid(), e)
	case v == insists && !e.insisted:
		e.insisted = true
		if !e.binds { // else Bound insists
			b.insist(m.GetUid(), e)
		}
	}
	if v != yields {
		b.keptLocked(e, m, how)
	}
	b.mu.Unlock()
	if ends {
		b.end(e.session)
	}
	return v != yields
}

// keptLocked notes what follows from e holding its user against another bind.
func (b *Bindings) keptLocked(e *binding, m *clusterpb.BindMsg, how hearing) {
	if how == asked {
		e.denied = claimantOf(m)
		if e.before != nil {
			e.before.denied = e.denied
		}
	}
	if b.replaces(m, e) { // one that did not know of it wrote over its record
		e.adrift = true
		signal(b.wake)
	}
}

// outlives reports whether a bind without a record has ended, though its
// announcement comes only now: its record was taken over without its server's
// knowing that it had one, or its server was told that it lost.
func (e *binding) outlives(m *clusterpb.BindMsg) bool {
	r, who := e.replaced, claimantOf(m)
	return m.GetEpoch() == 0 && who.session != 0 && (who == e.denied || r != nil && who == claimant{r.ServerID, r.Session})
}

// replaces reports whether the bind has taken over the record of e.
func (b *Bindings) replaces(m *clusterpb.BindMsg, e *binding) bool {
	return m.GetReplacedNonce() == b.params.Self.Nonce && m.GetReplacedSession() == e.session
}

// noteLocked keeps what the owner of e has to know of an announcement.
func (b *Bindings) noteLocked(e *binding, m *clusterpb.BindMsg, v ruling) {
	e.rival = max(e.rival, m.GetEpoch())
	if v == yields && e.binds {
		e.rival = yielded
	}
	if old := e.before; old != nil && m.GetEpoch() == 0 && b.judgeLocked(old, m) == yields {
		e.passed = true
	}
}

// insist announces e once more, if it still has its user.
func (b *Bindings) insist(uid string, e *binding) {
	b.group.Go("bindings insist", func(context.Context) {
		b.mu.Lock()
		has := b.held[uid] == e && !e.dropped
		b.mu.Unlock()
		if has {
			_ = b.params.Announce(b.message(uid, e)) // while NATS is away there is nobody to convince
		}
	})
}

// ruling is what an announcement means for a binding of the same user.
type ruling int

const (
	stays   ruling = iota // it holds, or will know when its owner is done
	insists               // it holds, and the other one has to hear of it once more
	yields                // the other one is later
)

const (
	// concurrent is how close to each other binds count as simultaneous, when no
	// record says which is later.
	concurrent = 500 * time.Millisecond
	// travel is what messages may take on their way without both yielding.
	travel = 500 * time.Millisecond
)

// judgeLocked compares a binding with another server's. By records, the higher
// epoch holds; without, the younger, and of two at the same time the one of the
// server with the higher id, so that not both yield. In doubt neither does: the
// records decide when etcd answers again.
func (b *Bindings) judgeLocked(e *binding, m *clusterpb.BindMsg) ruling {
	switch {
	case e.outlives(m):
		return stays
	case b.replaces(m, e) && m.GetEpoch() > e.epoch:
		return yields // its record was written, though nobody said so here
	case m.GetEpoch() > 0:
		if r, ok := e.judgeRecord(m.GetEpoch()); ok {
			return r
		}
	case m.GetBase() > 0 && e.epoch > 0:
		return laterOf(m.GetBase() >= e.epoch)
	case e.at.IsZero(): // it will be announced after the other
		return stays
	}
	younger := time.Since(e.at) - time.Duration(m.GetAgeUs())*time.Microsecond // how much the other is
	if younger > concurrent+travel || younger >= -concurrent && m.GetFid() > b.params.Self.ID {
		return yields
	}
	return insists
}

// judgeRecord compares a binding with another one's record, as far as it can be.
func (e *binding) judgeRecord(epoch int64) (ruling, bool) {
	switch {
	case epoch <= max(e.order(), e.floor):
		return stays, true
	case e.at.IsZero() || e.busy != nil && e.order() > 0:
		return stays, true
	}
	return yields, e.order() > 0
}

func laterOf(other bool) ruling {
	if other {
		return yields
	}
	return stays
}
