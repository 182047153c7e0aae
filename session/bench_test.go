package session_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/session"
)

// An idle session of a frontend, bound, in the pool, with the data that every
// handshake leaves: what it keeps in memory besides its connection.
func TestIdleSessionIsSmall(t *testing.T) {
	const n = 20_000
	pool := session.NewPool(session.PoolParams{})
	e, addr := &entity{pool: pool}, &net.TCPAddr{}
	uids := make([]string, n)
	for i := range uids {
		uids[i] = fmt.Sprint("user-", i)
	}
	before := heap()
	for _, uid := range uids {
		s := open(t, session.Params{ID: pool.NextID(), Frontend: "f-1", RemoteAddr: addr, Entity: e})
		require.NoError(t, pool.Add(s))
		require.NoError(t, s.Set("ipversion", "ipv4"))
		require.NoError(t, s.Bind(t.Context(), uid))
		_ = s.Data()
	}
	size := (heap() - before) / n
	t.Logf("%d bytes per bound idle session", size)
	require.Less(t, size, 600)
	runtime.KeepAlive(pool)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func BenchmarkStandIn(b *testing.B) {
	data := []byte(`{"ipversion":"ipv4","level":12}`)
	e := &entity{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.New(session.Params{ID: 1, UID: "ann", Backend: true, Data: data, Entity: e}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkData(b *testing.B) {
	s := open(b, session.Params{Data: []byte(`{"ipversion":"ipv4"}`)})
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Data()
	}
}

func BenchmarkKey(b *testing.B) {
	s, level := open(b, session.Params{}), session.NewKey[int]("level")
	b.Run("Set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = level.Set(s, 12)
		}
	})
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = level.Get(s)
		}
	})
}

func BenchmarkByUID(b *testing.B) {
	pool := session.NewPool(session.PoolParams{})
	for i := range 10_000 {
		s := join(b, pool)
		require.NoError(b, s.Bind(b.Context(), fmt.Sprint("user-", i)))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pool.ByUID("user-5000")
		}
	})
}
