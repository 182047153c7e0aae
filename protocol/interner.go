package protocol

// Interner knows the strings of the routes that a server expects, so that
// decoding them allocates nothing. It is immutable, hence its memory does not
// depend on what clients send. Use its Intern method as Decoding.Intern.
type Interner struct{ known map[string]string }

// NewInterner returns an interner for these routes.
func NewInterner(routes []string) *Interner {
	known := make(map[string]string, len(routes))
	for _, r := range routes {
		known[r] = r
	}
	return &Interner{known: known}
}

// Intern is string(route), without an allocation for a known route.
func (in *Interner) Intern(route []byte) string {
	if s, ok := in.known[string(route)]; ok {
		return s
	}
	return string(route)
}
