package cluster

import (
	"hash/maphash"
	"sync/atomic"
)

// serverSubjects remembers the subjects of servers that were called lately, so
// that a call neither builds nor checks one.
type serverSubjects struct {
	subjects
	seed   maphash.Seed
	places [256]atomic.Pointer[serverSubject] // found by a hash; the later server wins
}

type serverSubject struct{ serverType, id, subject string }

func newServerSubjects(s subjects) *serverSubjects {
	return &serverSubjects{subjects: s, seed: maphash.MakeSeed()}
}

// server returns the subject of requests to a server, or why there cannot be one.
func (c *serverSubjects) server(to *Server) (string, error) {
	place := &c.places[maphash.String(c.seed, to.ID)%uint64(len(c.places))]
	if known := place.Load(); known != nil && known.id == to.ID && known.serverType == to.Type {
		return known.subject, nil
	}
	subject := c.subjects.server(to.Type, to.ID)
	if err := checkSubject(subject); err != nil {
		return "", err
	}
	place.Store(&serverSubject{serverType: to.Type, id: to.ID, subject: subject})
	return subject, nil
}
