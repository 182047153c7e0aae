package cluster

import "github.com/cereus-game/cereus/errs"

// errAbandoned: the server that a call was made to is gone.
var errAbandoned = errs.New(errs.CodeUnavailable, "the server is gone: the call may have run there").With("maybe", "true")

// Abandon fails the calls that wait for an answer of this run of a server, which
// somebody knows to be gone, with an error that IsMaybe. It returns how many
// there were. It looks at every pending call.
func (c *RPCClient) Abandon(to *Server) int {
	calls := c.pending.takeIf(func(s *pendingSlot) bool { return sameProcess(s.call.info.to, to) })
	for _, call := range calls {
		c.metrics.CountRPC(EventMaybe)
		call.complete(nil, errAbandoned)
	}
	return len(calls)
}

// sameProcess reports whether two values are of one process: one of ours may
// have registered more than once.
func sameProcess(a, b *Server) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Nonce == b.Nonce && (a.Nonce != "" || a.Epoch == b.Epoch)
}
