package cluster

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

func encodedLoad(t testing.TB, m *clusterpb.Load) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

// badLoads are reports that no receiver takes, by what is wrong.
func badLoads(t testing.TB) map[string][]byte {
	t.Helper()
	bad := map[string][]byte{
		"nothing":        nil, // no interval
		"not protobuf":   []byte("\xff\xff\xff"),
		"cut off":        encodedLoad(t, loadMessage())[:10],
		"not UTF-8":      append(encodedLoad(t, loadMessage()), 0x0a, 0x01, 0xff),
		"too long":       protowire.AppendBytes(protowire.AppendTag(encodedLoad(t, loadMessage()), 99, protowire.BytesType), make([]byte, maxLoadReport)),
		"huge length":    append(protowire.AppendTag(nil, 1, protowire.BytesType), 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many empty map": bytes.Repeat([]byte{0x52, 0x00}, maxLoadReport/2+1),
	}
	for what, change := range map[string]func(m *clusterpb.Load){
		"no interval":        func(m *clusterpb.Load) { m.IntervalMs = 0 },
		"interval too long":  func(m *clusterpb.Load) { m.IntervalMs = 3_600_001 },
		"interval overflows": func(m *clusterpb.Load) { m.IntervalMs = math.MaxUint64 },
		"cpu below 0":        func(m *clusterpb.Load) { m.Cpu = -0.1 },
		"cpu over 1":         func(m *clusterpb.Load) { m.Cpu = 1.1 },
		"cpu NaN":            func(m *clusterpb.Load) { m.Cpu = math.NaN() },
		"cpu Inf":            func(m *clusterpb.Load) { m.Cpu = math.Inf(1) },
		"goroutines":         func(m *clusterpb.Load) { m.Goroutines = 1 << 31 },
		"sessions":           func(m *clusterpb.Load) { m.Sessions = math.MaxUint64 },
		"in flight":          func(m *clusterpb.Load) { m.InFlight = 1 << 63 },
		"value NaN":          func(m *clusterpb.Load) { m.Values = map[string]float64{"v": math.NaN()} },
		"value Inf":          func(m *clusterpb.Load) { m.Values = map[string]float64{"v": math.Inf(-1)} },
		"value without name": func(m *clusterpb.Load) { m.Values = map[string]float64{"": 1} },
		"name with a space":  func(m *clusterpb.Load) { m.Values = map[string]float64{"a b": 1} },
		"name with a slash":  func(m *clusterpb.Load) { m.Values = map[string]float64{"a/b": 1} },
		"name too long":      func(m *clusterpb.Load) { m.Values = map[string]float64{strings.Repeat("a", 65): 1} },
		"too many values": func(m *clusterpb.Load) {
			m.Values = make(map[string]float64)
			for i := range MaxLoadValues + 1 {
				m.Values[fmt.Sprint("v", i)] = 1
			}
		},
	} {
		m := loadMessage()
		change(m)
		bad[what] = encodedLoad(t, m)
	}
	return bad
}

func TestDecodeLoad(t *testing.T) {
	t.Parallel()
	r, err := decodeLoad(encodedLoad(t, loadMessage()))
	require.NoError(t, err)
	require.Equal(t, reportOf(backendServer("known")), r)
	later := protowire.AppendVarint(protowire.AppendTag(encodedLoad(t, loadMessage()), 1000, protowire.VarintType), 1)
	_, err = decodeLoad(later)
	require.NoError(t, err, "a field of a later version is skipped")
	for what, data := range badLoads(t) {
		_, err := decodeLoad(data)
		require.ErrorIs(t, err, errBadLoad, what)
	}
}

func FuzzDecodeLoad(f *testing.F) {
	f.Add(encodedLoad(f, loadMessage()))
	full := loadMessage()
	full.Memory, full.Goroutines, full.InFlight = 1<<40, 1<<31-1, 9
	full.Values = map[string]float64{"a": 1, "b.c-d_E": -0.5, strings.Repeat("x", 64): math.SmallestNonzeroFloat64}
	f.Add(encodedLoad(f, full))
	for _, data := range badLoads(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeLoad(data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(data), maxLoadReport)
		require.True(t, r.load.CPU >= 0 && r.load.CPU <= 1)
		require.Positive(t, r.interval)
		require.LessOrEqual(t, r.interval, maxLoadInterval)
		for _, n := range []int{r.load.Goroutines, r.load.Sessions, r.load.InFlight} {
			require.True(t, n >= 0 && n <= maxLoadCount)
		}
		require.Equal(t, r.load.Values, reportable(r.load.Values), "all that was taken would be told")
		again, err := decodeLoad(encodedLoad(t, r.message()))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
