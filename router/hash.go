package router

// The hashes are the same in every process and must stay so: servers that
// choose for the same key have to agree, also while a cluster is being updated.

// hash is FNV-1a, whose bits mix then spreads.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix gives every bit of x a say in every bit of the result (the finalizer of
// SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fraction is x as a number between 0 and 1, neither of which it reaches.
func fraction(x uint64) float64 { return (float64(x>>12) + 0.5) * (1.0 / (1 << 52)) }

// hashKey is the hash of what the call is to stay with: its key.
func (c *Call) hashKey() (uint64, bool) {
	if c.Key == "" {
		return 0, false
	}
	return hash(c.Key), true
}

// hashPlayer is the hash of whom the call is made for.
func (c *Call) hashPlayer() (uint64, bool) {
	switch {
	case c.UID != "":
		return hash(c.UID), true
	case c.ofSession():
		return mix(hash(c.Frontend) + uint64(c.SessionID)), true
	default:
		return 0, false
	}
}
