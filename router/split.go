package router

import "github.com/cereus-game/cereus/cluster"

// split is a list in two parts: those servers whose metadata has a value, and
// the others.
type split struct{ with, without []*cluster.Server }

// newSplits splits lists by whether a server's metadata has value under key.
func newSplits(key, value string) *perList[*split] {
	return newPerList(func(list []*cluster.Server) *split { return newSplit(list, key, value) })
}

func newSplit(list []*cluster.Server, key, value string) *split {
	s := &split{}
	for _, server := range list {
		if v, ok := server.Metadata[key]; ok && v == value {
			s.with = append(s.with, server)
		} else {
			s.without = append(s.without, server)
		}
	}
	switch len(list) { // what is known about the list goes for an only part of it
	case len(s.with):
		s.with = list
	case len(s.without):
		s.without = list
	}
	return s
}
