package router

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// Random chooses at random, in proportion to the weights of the servers
// ([cluster.Server.Share]: 0 counts as 100): with equal weights, as when nobody
// sets any, uniformly (wire.md 9.2). What one server chooses tells nothing about
// what another does, so it needs no knowledge and has no bad surprises. Servers
// that are busy ([cluster.StateBusy]) are chosen only when there are no others. It
// takes no lock, allocates nothing and costs the same for any number of servers.
func Random() Func { return sparing((&random{newPerList(newWheel)}).choose) }

type random struct{ wheels *perList[*wheel] }

func (r *random) choose(_ context.Context, _ Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	return r.wheels.of(servers).draw(servers), nil
}

// orRandom is the policy that another hands on to.
func orRandom(next Func) Func {
	if next == nil {
		return Random()
	}
	return next
}
