package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// longestOverlap is for how long two tasks may run of a leader whose lease nobody
// took away: none, but for the time that a loaded machine takes to end one.
const longestOverlap = 2 * time.Second

// rule is one task of RunAsLeader.
type rule struct {
	life       *life
	serverType string
	id, nonce  string
	token      int64
	from, to   time.Time
}

// rule does what only the leader of the type may do, whenever this server is that.
func (a *actor) rule(l *life) {
	self := l.d.params.Self
	_ = l.d.RunAsLeader(context.Background(), self.Type, func(ctx context.Context, token int64) error {
		r := &rule{life: l, serverType: self.Type, id: self.ID, nonce: self.Nonce, token: token, from: time.Now()}
		<-ctx.Done()
		r.to = time.Now()
		a.storm.mu.Lock()
		defer a.storm.mu.Unlock()
		a.storm.reigns = append(a.storm.reigns, r)
		return context.Cause(ctx)
	})
}

// checkRules: each task had a token that etcd's history gave to that very server,
// later ones a higher one, and tasks do not run side by side.
func (s *storm) checkRules() []string {
	slices.SortFunc(s.reigns, func(a, b *rule) int { return a.from.Compare(b.from) })
	var faults []string
	last := map[string]*rule{}
	for _, r := range s.reigns {
		v := s.ledger.at(leaderKey(r.serverType), r.token)
		if v == nil || v.revision != r.token || v.gone || v.claim != (claim{ID: r.id, Nonce: r.nonce}) {
			faults = append(faults, fmt.Sprintf("%s ran a task with token %d, which etcd's history gives to %v", r.life.name, r.token, v))
		}
		if w := last[r.serverType]; w != nil && w.token >= r.token && w.life != r.life {
			faults = append(faults, fmt.Sprintf("%s began a task with token %d after %s with token %d", r.life.name, r.token, w.life.name, w.token))
		}
		last[r.serverType] = r
	}
	if d := s.overlap(); d > longestOverlap {
		faults = append(faults, fmt.Sprintf("two tasks of one type ran side by side for %v", d))
	}
	return append(faults, s.checkClaims()...)
}

// overlap is for how long at most two tasks of one type ran side by side,
// those of servers aside whose lease or key somebody took away.
func (s *storm) overlap() time.Duration {
	var longest time.Duration
	last := map[string]*rule{}
	for _, r := range s.reigns {
		if w := last[r.serverType]; w != nil && w.life != r.life && !s.robbed(w) {
			longest = max(longest, w.to.Sub(r.from))
		}
		if w := last[r.serverType]; w == nil || r.to.After(w.to) {
			last[r.serverType] = r
		}
	}
	return longest
}

// robbed reports whether somebody may have taken away what the leader stood on.
func (s *storm) robbed(r *rule) bool {
	key := serverKey(r.serverType, r.id)
	return slices.ContainsFunc(s.ledger.keys[key], func(v *version) bool {
		return s.revoked[v.epoch] && v.server != nil && v.server.Nonce == r.nonce
	})
}

// checkClaims: who leads is there when it is written.
func (s *storm) checkClaims() []string {
	var faults []string
	for _, v := range s.ledger.all {
		serverType, ok := leaderOf(v)
		if !ok || v.gone {
			continue
		}
		if who := s.ledger.at(serverKey(serverType, v.claim.ID), v.revision); who == nil || who.server == nil {
			faults = append(faults, fmt.Sprintf("%v, and no such server is there", v))
		}
	}
	return faults
}

// leaderOf is the type of whose leader a version is.
func leaderOf(v *version) (string, bool) {
	serverType, ok := strings.CutPrefix(v.key, leadersPrefix)
	return serverType, ok && ValidServerName(serverType)
}
