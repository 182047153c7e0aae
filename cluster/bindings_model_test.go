package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// model is one user's sessions on a frontend without etcd.
type model struct {
	*Bindings
	mute  atomic.Bool // nats is away
	last  int64       // session
	binds bool        // the last one's Bind is under way
	bound int64       // the session that has the user, unless it was ended; 0: nobody

	ends  sync.Mutex // guards ended
	ended map[int64]bool
}

func newModel(t require.TestingT) *model {
	self := &Server{ID: "m", Type: "gate", Frontend: true, Nonce: "n"}
	d, err := NewEtcdDiscovery(etcdParams(self, "127.0.0.1:1"))
	require.NoError(t, err)
	m := &model{ended: make(map[int64]bool)}
	m.Bindings = NewBindings(BindingsParams{
		Self: self, Discovery: d,
		Announce: func(*clusterpb.BindMsg) error {
			if m.mute.Load() {
				return errSilence
			}
			return nil
		},
		Ended: func(session int64) {
			m.ends.Lock()
			defer m.ends.Unlock()
			m.ended[session] = true
		},
	})
	return m
}

// step is a change of the one session that there may be after it.
func (m *model) step(t *rapid.T) {
	switch what := rapid.SampledFrom([]string{"bind", "bound", "unbind", "nats", "heard", "heard"}).Draw(t, "step"); {
	case what == "nats":
		m.mute.Store(!m.mute.Load())
	case what == "heard":
		m.Heard(&clusterpb.BindMsg{
			Uid: "u", Fid: rapid.SampledFrom([]string{"", "a", "m", "z"}).Draw(t, "from"),
			Epoch: rapid.Int64Min(-1).Draw(t, "epoch"), Base: rapid.Int64Min(-1).Draw(t, "base"), AgeUs: rapid.Int64().Draw(t, "age"),
			ReplacedNonce: rapid.SampledFrom([]string{"", "n"}).Draw(t, "run"), ReplacedSession: m.last, Session: rapid.Int64Range(0, 3).Draw(t, "session"),
		})
	case what == "bind" && !m.binds:
		m.last++
		m.binds = true
		if m.Bind(context.Background(), m.last, "u") != nil {
			m.Unbind(m.last, "u")
			m.binds = false
		}
	case what == "bound" && m.binds:
		m.binds, m.bound = false, m.last // it replaces the other here
		if m.Bound(m.last, "u") != nil {
			m.Unbind(m.last, "u")
			m.bound = 0
		}
	case what == "unbind":
		s := rapid.SampledFrom([]int64{m.last, m.bound}).Draw(t, "who")
		m.Unbind(s, "u")
		m.binds = m.binds && s != m.last
		if m.bound == s {
			m.bound = 0
		}
	}
}

// TestBindings_AnyAnnouncement: whatever others announce, a session has its user
// until it is ended, and nothing is left of it then.
func TestBindings_AnyAnnouncement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			m.step(t)
		}
		m.Unbind(m.last, "u")
		require.NoError(t, m.Shutdown(context.Background())) // all that ended have
		if m.bound != 0 && m.bound != m.last && !m.ended[m.bound] {
			require.Equal(t, m.bound, m.held["u"].session)
			m.Unbind(m.bound, "u")
		}
		require.Empty(t, m.held)
		require.Empty(t, m.orphans)
	})
}
