package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// version is one write or deletion of one key, as etcd tells it.
type version struct {
	revision int64
	epoch    int64
	place    int     // in the ledger
	key      string  // inside the prefix
	server   *Server // nil: the key holds none
	claim    claim   // of a key of the leaders
	gone     bool    // the key was deleted
}

func (v *version) String() string {
	switch {
	case v == nil:
		return "nothing"
	case v.gone:
		return fmt.Sprintf("%d delete %s", v.revision, v.key)
	case v.server == nil && strings.HasPrefix(v.key, leadersPrefix):
		return fmt.Sprintf("%d put %s %+v", v.revision, v.key, v.claim)
	case v.server == nil:
		return fmt.Sprintf("%d put %s garbage", v.revision, v.key)
	}
	return fmt.Sprintf("%d put %s epoch %d %s", v.revision, v.key, v.epoch, words(v.server))
}

// here reports whether the version means that a server is in the cluster.
func (v *version) here() bool { return v != nil && v.server != nil && v.server.State != StateLeft }

// words is everything that a server says of itself.
func words(s *Server) string {
	parts := []string{
		s.Type, s.ID, s.Hostname, s.Nonce, string(s.state()), strconv.Itoa(s.Weight), strconv.FormatBool(s.Frontend), strings.Join(s.Caps, "+"),
	}
	for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
		parts = append(parts, key+"="+s.Metadata[key])
	}
	return strings.Join(parts, " ")
}

// ledger is etcd's own history, complete and in order.
type ledger struct {
	mu   sync.Mutex // guards what follows while etcd is watched
	all  []*version
	keys map[string][]*version
	seen int64
}

// watch writes everything down until ctx ends. Nobody compacts what it has not seen.
func (l *ledger) watch(ctx context.Context, client *clientv3.Client, prefix string) {
	for ctx.Err() == nil {
		for resp := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(l.revision()+1)) {
			l.write(prefix, resp.Events)
		}
	}
}

// revision is the last one of which everything is known.
func (l *ledger) revision() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

func (l *ledger) write(prefix string, events []*clientv3.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range events {
		v := readVersion(prefix, ev)
		v.place = len(l.all)
		l.all = append(l.all, v)
		l.keys[v.key] = append(l.keys[v.key], v)
		l.seen = v.revision
	}
}

// readVersion reads a value with encoding/json, not with the scanner that
// discovery has for it.
func readVersion(prefix string, ev *clientv3.Event) *version {
	v := &version{
		revision: ev.Kv.ModRevision, epoch: ev.Kv.CreateRevision,
		key: strings.TrimPrefix(string(ev.Kv.Key), prefix), gone: ev.Type == clientv3.EventTypeDelete,
	}
	switch {
	case v.gone:
	case strings.HasPrefix(v.key, leadersPrefix):
		if ev.Kv.Lease == 0 || json.Unmarshal(ev.Kv.Value, &v.claim) != nil {
			v.claim = claim{}
		}
	default:
		if s := new(Server); json.Unmarshal(ev.Kv.Value, s) == nil && v.key == serverKey(s.Type, s.ID) {
			s.Epoch, s.Revision = v.epoch, v.revision
			v.server = s
		}
	}
	return v
}

// at is the last version of a key at a revision; nil when it never was.
func (l *ledger) at(key string, revision int64) *version {
	lane := l.keys[key]
	n := sort.Search(len(lane), func(n int) bool { return lane[n].revision > revision })
	if n == 0 {
		return nil
	}
	return lane[n-1]
}

// between is every version after one revision and up to another.
func (l *ledger) between(from, to int64) []*version {
	first := sort.Search(len(l.all), func(n int) bool { return l.all[n].revision > from })
	last := sort.Search(len(l.all), func(n int) bool { return l.all[n].revision > to })
	return l.all[first:max(first, last)]
}

// serversAt is who was in the cluster at a revision, sorted by id.
func (l *ledger) serversAt(revision int64) []*Server {
	var all []*Server
	for key := range l.keys {
		if v := l.at(key, revision); v.here() {
			all = append(all, v.server)
		}
	}
	slices.SortFunc(all, func(a, b *Server) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// leaderAt is who led a type at a revision.
func (l *ledger) leaderAt(serverType string, revision int64) Leader {
	holder, wanted := l.at(leaderKey(serverType), revision), l.at(wantedKey(serverType), revision)
	if holder == nil || holder.claim == (claim{}) {
		return Leader{Type: serverType}
	}
	return Leader{
		Type: serverType, ID: holder.claim.ID, Token: holder.revision,
		ByHand: wanted != nil && wanted.claim == holder.claim,
	}
}

// leadersAt is who led each type at a revision.
func (l *ledger) leadersAt(revision int64) map[string]Leader {
	leaders := map[string]Leader{}
	for key := range l.keys {
		serverType, ok := strings.CutPrefix(key, leadersPrefix)
		if ok && ValidServerName(serverType) {
			leaders[serverType] = l.leaderAt(serverType, revision)
		}
	}
	return leaders
}

// gap is the first revision that no version has; 0 when there is none.
func (l *ledger) gap() int64 {
	for n := 1; n < len(l.all); n++ {
		if before := l.all[n-1].revision; l.all[n].revision > before+1 {
			return before + 1
		}
	}
	return 0
}

// lines is the last versions of the keys that contain a word, up to a revision.
func (l *ledger) lines(word string, revision int64, limit int) []string {
	var lines []string
	for _, v := range l.between(0, revision) {
		if strings.Contains(v.key, word) {
			lines = append(lines, v.String())
		}
	}
	return lines[max(0, len(lines)-limit):]
}
