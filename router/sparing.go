package router

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
)

// sparing has next choose among the servers that are not busy, and among all
// when there is no such one. It is for the choices that nothing binds to a
// server; a key and a session stay where they are, so their policies see all.
func sparing(next Func) Func {
	return (&spared{next: next, known: newPerList(notBusy)}).choose
}

type spared struct {
	next  Func
	known *perList[[]*cluster.Server] // those that are not busy
}

func notBusy(list []*cluster.Server) []*cluster.Server {
	var free []*cluster.Server
	for _, s := range list {
		if s.State != cluster.StateBusy {
			free = append(free, s)
		}
	}
	if len(free) == len(list) {
		return list // what next knows about the list goes for it
	}
	return free
}

func (s *spared) choose(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) > 0 {
		if free := s.known.of(servers); len(free) > 0 {
			return s.next(ctx, c, free)
		}
	}
	return s.next(ctx, c, servers)
}
