package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"iter"
	"net/http"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
)

const (
	// minToken is the shortest bearer token, in bytes.
	minToken = 16
	// maxBody bounds what a request may send, in bytes.
	maxBody = 64 << 10
)

// Discovery is what the discovery API reads: cluster.EtcdDiscovery has it. One that
// is an Editor or an Elector, too, has the API make changes.
type Discovery interface {
	// Snapshot is the cluster as it is now.
	Snapshot() *cluster.Snapshot
	// SyncServers has the next snapshot be as new as this call.
	SyncServers(ctx context.Context) error
	// Follow yields what comes after a snapshot, without gap or repetition.
	Follow(ctx context.Context, afterSeq uint64) iter.Seq2[cluster.Event, error]
}

// Staler says whether what it knows may be behind, because etcd is away. Of a
// Discovery that is one, the API says so.
type Staler interface{ Stale() bool }

// Editor changes what a server says of itself. Its errors are those of
// cluster.EtcdDiscovery.
type Editor interface {
	EditServer(ctx context.Context, id string, e cluster.Edit) (*cluster.Server, error)
}

// Elector chooses the leader of a server type. With id "" the type has the one
// that is registered for the longest time. Its errors are those of
// cluster.EtcdDiscovery.
type Elector interface {
	SetLeader(ctx context.Context, serverType, id string) error
}

var (
	_ Discovery = (*cluster.EtcdDiscovery)(nil)
	_ Staler    = (*cluster.EtcdDiscovery)(nil)
	_ Editor    = (*cluster.EtcdDiscovery)(nil)
	_ Elector   = (*cluster.EtcdDiscovery)(nil)
)

// api is everything under /v1/.
type api struct {
	discovery Discovery
	load      func(id string) (any, bool)
	log       logrus.FieldLogger
	token     [sha256.Size]byte
	mux       *http.ServeMux

	nonce   string        // of this process, in the ids of events
	streams chan struct{} // holds one for each stream there is
	pace    streamPace
}

func newAPI(p Params) *api {
	a := &api{
		discovery: p.Discovery, load: p.Load, log: p.Log, token: sha256.Sum256([]byte(p.Token)),
		mux: http.NewServeMux(), nonce: rand.Text(), pace: p.pace.withDefaults(),
	}
	a.streams = make(chan struct{}, a.pace.streams)
	a.handle("GET /v1/services", a.services)
	a.handle("GET /v1/services/{type}", a.service)
	a.handle("GET /v1/services/{type}/instances/{id}", a.instance)
	a.handle("PATCH /v1/services/{type}/instances/{id}", a.edit)
	a.handle("GET /v1/services/{type}/leader", a.leader)
	a.handle("PUT /v1/services/{type}/leader", a.choose)
	a.handle("DELETE /v1/services/{type}/leader", a.unchoose)
	a.mux.HandleFunc("GET /v1/events", a.events)
	return a
}

// handle answers a route with what do returns.
func (a *api) handle(pattern string, do func(*http.Request) (answer, error)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ans, err := do(r)
		if err != nil {
			refuse(w, err)
			return
		}
		ans.write(w)
	})
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := a.authorize(w, r); err != nil {
		a.log.WithField("remote", r.RemoteAddr).Debug("discovery api refused a request without the right token")
		refuse(w, err)
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern == "" { // not found, or not with this method
		refuseAs(w, r, handler)
		return
	}
	if a.discovery.Snapshot().Revision() == 0 {
		refuse(w, problem{http.StatusServiceUnavailable, "service discovery has not started: try again"})
		return
	}
	if a.stale() && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		setStale(w)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.mux.ServeHTTP(w, r)
}

// stale reports whether what is known may be behind.
func (a *api) stale() bool {
	d, ok := a.discovery.(Staler)
	return ok && d.Stale()
}

// stamp is for what is read of a snapshot.
func (a *api) stamp(s *cluster.Snapshot) stamp { return stamp{s.Revision(), a.stale()} }
