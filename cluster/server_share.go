package cluster

// DefaultWeight is what a weight of 0 counts as.
const DefaultWeight = 100

// Share is the weight as it counts where work is shared out, 1 to MaxWeight: a
// weight of 0, as of a Pitaya server, is DefaultWeight, and one that somebody
// wrote to etcd above MaxWeight is MaxWeight.
func (s *Server) Share() int {
	if s.Weight <= 0 {
		return DefaultWeight
	}
	return min(s.Weight, MaxWeight)
}
