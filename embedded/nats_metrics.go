package embedded

// NATSSubscriptions is the number of subscriptions that the first NATS server
// holds: those of its clients, those that other servers of its cluster told it
// of, and a few of its own. 0 when it does not run.
func (c *Cluster) NATSSubscriptions() int {
	if len(c.nats) == 0 {
		return 0
	}
	if s := c.nats[0].server(); s != nil {
		return int(s.NumSubscriptions())
	}
	return 0
}
