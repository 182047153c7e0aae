package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestNewDictionary(t *testing.T) {
	t.Parallel()
	given := map[string]uint16{" connector.room.join": 1, "onMessage\t": 65535, "zero": 0}
	d, err := protocol.NewDictionary(given)
	require.NoError(t, err)
	given["late"] = 9

	want := map[string]uint16{"connector.room.join": 1, "onMessage": 65535, "zero": 0}
	require.Equal(t, want, d.Routes())
	require.Equal(t, 3, d.Len())
	d.Routes()["changed"] = 2
	require.Equal(t, want, d.Routes(), "a dictionary cannot be changed through its copies")
	for route, code := range want {
		gotCode, ok := d.Code(route)
		require.True(t, ok)
		require.Equal(t, code, gotCode)
		gotRoute, ok := d.Route(code)
		require.True(t, ok)
		require.Equal(t, route, gotRoute)
	}
	_, ok := d.Code("late")
	require.False(t, ok)
	_, ok = d.Route(9)
	require.False(t, ok)
}

func TestNewDictionaryNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := protocol.NewDictionary(map[string]uint16{
		"a": 1, " a": 2, "b": 3, "c": 3, " ": 4, strings.Repeat("r", 256): 5,
	})
	require.ErrorIs(t, err, protocol.ErrRouteTooLong)
	require.ErrorContains(t, err, `route "a" is listed twice`)
	require.ErrorContains(t, err, `routes "b" and "c" have the same code 3`)
	require.ErrorContains(t, err, "code 4 has an empty route")
	require.Len(t, strings.Split(err.Error(), "\n"), 4)
}

func TestNilDictionaryIsEmpty(t *testing.T) {
	t.Parallel()
	var d *protocol.Dictionary
	_, known := d.Code("a")
	require.False(t, known)
	_, known = d.Route(1)
	require.False(t, known)
	require.Zero(t, d.Len())
	require.NotNil(t, d.Routes())
}
