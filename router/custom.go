package router

import (
	"context"
	"fmt"
	"slices"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// without returns the servers that are not excluded; the same slice when none is.
func without(servers []*cluster.Server, c *Call) []*cluster.Server {
	if c.Exclude == nil || !slices.ContainsFunc(servers, c.excludes) {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), c.excludes)
}

// call asks f, and turns its panic into an error.
func call(ctx context.Context, f Func, c Call, servers []*cluster.Server) (s *cluster.Server, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errs.New(errs.CodeInternal, fmt.Sprint(v))
		}
	}()
	return f(ctx, c, servers)
}
