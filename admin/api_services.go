package admin

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cereus-game/cereus/cluster"
)

// serviceJSON is a server type.
type serviceJSON struct {
	Name      string      `json:"name"`
	Servers   int         `json:"servers"`   // present
	Available int         `json:"available"` // may be given work
	Leader    *leaderJSON `json:"leader"`    // null: none
}

// leaderJSON is cluster.Leader.
type leaderJSON struct {
	ID     string `json:"id"`
	Token  int64  `json:"token"`
	ByHand bool   `json:"by_hand"`
}

// instanceJSON is cluster.Server.
type instanceJSON struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	State    cluster.State     `json:"state"`
	Weight   int               `json:"weight"`
	Metadata map[string]string `json:"metadata"`
	Frontend bool              `json:"frontend"`
	Hostname string            `json:"hostname"`
	Cereus   bool              `json:"cereus"` // false: a Pitaya server
	Caps     []string          `json:"caps"`
	Epoch    int64             `json:"epoch"`    // create revision of its key
	Revision int64             `json:"revision"` // of the last write of its key
	Load     any               `json:"load,omitempty"`
}

func newInstanceJSON(s *cluster.Server) *instanceJSON {
	if s == nil {
		return nil
	}
	in := &instanceJSON{
		ID: s.ID, Type: s.Type, State: cmp.Or(s.State, cluster.StateUp), Weight: s.Weight, Metadata: s.Metadata,
		Frontend: s.Frontend, Hostname: s.Hostname, Cereus: s.Cereus(), Caps: s.Caps, Epoch: s.Epoch, Revision: s.Revision,
	}
	if in.Caps == nil {
		in.Caps = []string{}
	}
	return in
}

// withLoad is the instance with its load, when that is known.
func (a *api) withLoad(s *cluster.Server) *instanceJSON {
	in := newInstanceJSON(s)
	if a.load == nil {
		return in
	}
	if load, ok := a.load(s.ID); ok {
		in.Load = load
	}
	return in
}

func newLeaderJSON(s *cluster.Snapshot, serverType string) *leaderJSON {
	l, ok := s.Leader(serverType)
	if !ok {
		return nil
	}
	return &leaderJSON{ID: l.ID, Token: l.Token, ByHand: l.ByHand}
}

func newServiceJSON(s *cluster.Snapshot, serverType string, servers int) serviceJSON {
	return serviceJSON{
		Name: serverType, Servers: servers, Available: len(s.ServersByType(serverType)), Leader: newLeaderJSON(s, serverType),
	}
}

// services answers GET /v1/services.
func (a *api) services(*http.Request) (answer, error) {
	s := a.discovery.Snapshot()
	count := make(map[string]int, len(s.Types()))
	for _, server := range s.Servers() {
		count[server.Type]++
	}
	list := make([]serviceJSON, 0, len(s.Types()))
	for _, serverType := range s.Types() {
		list = append(list, newServiceJSON(s, serverType, count[serverType]))
	}
	return answer{revision: s.Revision(), body: struct {
		stamp
		Services []serviceJSON `json:"services"`
	}{a.stamp(s), list}}, nil
}

// service answers GET /v1/services/{type}.
func (a *api) service(r *http.Request) (answer, error) {
	s := a.discovery.Snapshot()
	serverType, err := serviceOf(s, r)
	if err != nil {
		return answer{}, err
	}
	list := []*instanceJSON{}
	for _, server := range s.Servers() {
		if server.Type == serverType {
			list = append(list, a.withLoad(server))
		}
	}
	return answer{revision: s.Revision(), body: struct {
		stamp
		Service   serviceJSON     `json:"service"`
		Instances []*instanceJSON `json:"instances"`
	}{a.stamp(s), newServiceJSON(s, serverType, len(list)), list}}, nil
}

// instance answers GET /v1/services/{type}/instances/{id}.
func (a *api) instance(r *http.Request) (answer, error) {
	s := a.discovery.Snapshot()
	server, err := instanceOf(s, r.PathValue("type"), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return a.instanceAnswer(a.stamp(s), server), nil
}

func (a *api) instanceAnswer(at stamp, server *cluster.Server) answer {
	return answer{revision: at.Revision, etag: server.Revision, body: struct {
		stamp
		Instance *instanceJSON `json:"instance"`
	}{at, a.withLoad(server)}}
}

// serviceOf is the type that a request names, if somebody is of it.
func serviceOf(s *cluster.Snapshot, r *http.Request) (string, error) {
	serverType := r.PathValue("type")
	if err := checkName("service", serverType); err != nil {
		return "", err
	}
	if _, ok := slices.BinarySearch(s.Types(), serverType); !ok {
		return "", problem{http.StatusNotFound, fmt.Sprintf("no server of type %q is in the cluster: see /v1/services", serverType)}
	}
	return serverType, nil
}

// instanceOf is the server of a type with an id, if it is in the cluster.
func instanceOf(s *cluster.Snapshot, serverType, id string) (*cluster.Server, error) {
	if err := checkName("service", serverType); err != nil {
		return nil, err
	}
	if err := checkName("instance", id); err != nil {
		return nil, err
	}
	n, ok := slices.BinarySearchFunc(s.Servers(), id, func(s *cluster.Server, id string) int { return strings.Compare(s.ID, id) })
	if ok && s.Servers()[n].Type == serverType {
		return s.Servers()[n], nil
	}
	text := fmt.Sprintf("no server %q of type %q is in the cluster", id, serverType)
	if ok {
		text += ": that server is of type " + s.Servers()[n].Type
	}
	if gone, known := s.Server(id); known && !ok && gone.Type == serverType {
		text += ": it is gone, and was last " + string(gone.State)
	}
	return nil, problem{http.StatusNotFound, text}
}

// checkName refuses what nobody can be called, so that answers and logs never
// repeat more than a name.
func checkName(what, name string) error {
	if cluster.ValidServerName(name) {
		return nil
	}
	return badRequest("%s name: use 1 to 64 of A-Z a-z 0-9 _ . -", what)
}
