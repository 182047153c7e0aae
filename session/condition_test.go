package session_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/session"
)

func TestHas(t *testing.T) {
	t.Parallel()
	s, err := session.New(session.Params{Data: []byte(
		`{"team":"r\u0065d","level":3,"big":9007199254740993,"vip":true,"list":[1,2],"none":null}`)})
	require.NoError(t, err)
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"team", `"red"`, true}, {"team", `"r\u0065d"`, true}, {"team", `"blue"`, false}, {"team", `red`, false}, {"team", "", false},
		{"level", "3", true}, {"level", "3.0", true}, {"level", "30e-1", true}, {"level", "4", false}, {"level", `"3"`, false},
		{"big", "9007199254740993", true}, {"big", "9007199254740992", false},
		{"vip", "true", true}, {"vip", "false", false}, {"list", "[1,2]", true}, {"list", "[2,1]", false},
		{"nothing", "null", true}, {"nothing", "0", false}, {"level", "null", false}, {"none", "null", true},
	} {
		require.Equal(t, c.want, s.Has(c.key, []byte(c.value)), "%s is %s", c.key, c.value)
	}
}
