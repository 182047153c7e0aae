package router

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// ZoneParams say which servers are near.
type ZoneParams struct {
	Metadata string // the key whose value is a server's zone
	Zone     string // of the server that calls
	// Busy reports a server that should get help from other zones, beside those that
	// say it of themselves ([cluster.StateBusy]); nil: none gets help, those neither.
	// It is asked for every call and must neither block nor allocate.
	Busy func(*cluster.Server) bool
}

// Zone chooses among the servers of the own zone, by the policy next (nil:
// [Random]). It chooses among the others when there is none, and when the one
// chosen is busy and the one chosen in the other zones is not.
func Zone(p ZoneParams, next Func) Func {
	z := &zone{busy: p.Busy, next: orRandom(next), known: newSplits(p.Metadata, p.Zone)}
	return z.choose
}

type zone struct {
	busy  func(*cluster.Server) bool
	next  Func
	known *perList[*split]
}

func (z *zone) choose(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	near := z.known.of(servers)
	if len(near.with) == 0 {
		return z.next(ctx, c, servers)
	}
	chosen, err := z.next(ctx, c, near.with)
	if err != nil || !z.isBusy(chosen) || len(near.without) == 0 {
		return chosen, err
	}
	if far, err := z.next(ctx, c, near.without); err == nil && far != nil && !z.isBusy(far) {
		return far, nil
	}
	return chosen, nil
}

func (z *zone) isBusy(s *cluster.Server) bool {
	return z.busy != nil && s != nil && (s.State == cluster.StateBusy || z.busy(s))
}
