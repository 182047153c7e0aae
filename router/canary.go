package router

import (
	"context"
	"math/rand/v2"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// CanaryParams say which servers are being tried out, and by how many.
type CanaryParams struct {
	Metadata, Value string  // the canaries are the servers that have this in their metadata
	Percent         float64 // of the players who get them, 0 to 100
}

// Canary gives a share of the players to the servers that are being tried out,
// and the rest to the others; among either it chooses by the policy next (nil:
// [Random]). A side without servers leaves its players to the other.
//
// Whether a player belongs to the share is a matter of the uid, on every server
// and for every server type the same: nobody goes back and forth, and with a
// higher Percent others come to those who are there. A session without a uid
// counts by its frontend and id, and may change sides when it is bound; then a
// call counts by its key, and one that has none is decided at random.
func Canary(p CanaryParams, next Func) Func {
	c := &canary{
		part: p.Percent / 100, salt: hash(p.Metadata) ^ mix(hash(p.Value)), next: orRandom(next),
		sides: newSplits(p.Metadata, p.Value),
	}
	return c.choose
}

type canary struct {
	part  float64
	salt  uint64 // other trials choose other players
	next  Func
	sides *perList[*split]
}

func (c *canary) choose(ctx context.Context, call Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	sides := c.sides.of(servers)
	side := sides.without
	if c.takes(&call) {
		side = sides.with
	}
	if len(side) == 0 {
		side = servers
	}
	return c.next(ctx, call, side)
}

// takes reports whether the call belongs to the share.
func (c *canary) takes(call *Call) bool {
	who, ok := call.hashPlayer()
	if !ok {
		who, ok = call.hashKey()
	}
	if !ok {
		return rand.Float64() < c.part
	}
	return fraction(mix(who^c.salt)) < c.part
}
