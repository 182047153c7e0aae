package cluster

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// agrees requires that a value which is scanned is read as encoding/json reads it.
func agrees(t testing.TB, value []byte) (scanned bool) {
	t.Helper()
	got, ok := scanServer(value)
	if !ok {
		return false
	}
	want := new(Server)
	require.NoError(t, want.UnmarshalJSON(value), "%s", value)
	require.Equal(t, want, got, "%s", value)
	return true
}

func TestScanServer_WhatIsWritten(t *testing.T) {
	t.Parallel()
	for name, value := range etcdVectors(t) {
		require.True(t, agrees(t, []byte(value)), name)
	}
	for _, s := range []*Server{
		{},
		{ID: "a", Type: "b", Metadata: map[string]string{}, State: StatePaused},
		{ID: "a", Nonce: "n"},
		{ID: "a", Nonce: "n", Caps: []string{"x"}, State: StateBusy, Weight: 1},
		{
			ID: "a", Type: "room", Metadata: map[string]string{"z": "<&>", "ä": "\"\\\n\u2028\x7f", "e": "", "\xff": "\U0001F600"},
			Frontend: true, Hostname: "höst", Nonce: "N", Caps: []string{"a", "b"}, Weight: math.MaxInt, State: "new",
		},
	} {
		value, err := s.MarshalJSON()
		require.NoError(t, err)
		require.True(t, agrees(t, value), "%s", value)
	}
}

func TestScanServer_LeavesTheRest(t *testing.T) {
	t.Parallel()
	const usual = `{"id":"m1","type":"min","metadata":{"a":"b","c":"d"},"frontend":true,"hostname":"h",` +
		`"cereus":{"v":1,"nonce":"n","caps":["x","y"],"state":"up","weight":10}}`
	require.True(t, agrees(t, []byte(usual)))
	for _, c := range oddValues {
		agrees(t, []byte(c.value))
	}
	for n := range usual {
		_, ok := scanServer([]byte(usual[:n]))
		require.False(t, ok, usual[:n])
		for _, c := range []byte("\"\\{}[],:01-x \x00\xff") {
			agrees(t, []byte(usual[:n]+string(c)+usual[n:]))
			agrees(t, []byte(usual[:n]+string(c)+usual[n+1:]))
		}
		agrees(t, []byte(usual[:n]+usual[n+1:]))
	}
}

func FuzzScanServer(f *testing.F) {
	for _, value := range etcdVectors(f) {
		f.Add([]byte(value))
	}
	for _, c := range oddValues[:len(oddValues)-1] {
		f.Add([]byte(c.value))
	}
	f.Add([]byte(`{"id":"m1","type":"min","metadata":{"a":"\ud83d\ude00","a":"\u0022"},"frontend":true,"hostname":"",` +
		`"cereus":{"v":0,"nonce":"n","caps":[],"state":"","weight":10}}`))
	f.Fuzz(func(t *testing.T, value []byte) { agrees(t, value) })
}

func BenchmarkParseServer(b *testing.B) {
	s := backend("room-0001")
	s.Nonce, s.Caps, s.Weight = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", []string{"order", "push", "merge"}, 100
	usual, err := s.MarshalJSON()
	require.NoError(b, err)
	odd := strings.Replace(string(usual), `,"hostname"`, `, "hostname"`, 1)
	for name, value := range map[string][]byte{"usual": usual, "odd": []byte(odd)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := FolderServers.parse("servers/room/room-0001", value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
