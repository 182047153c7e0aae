package group

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEtcdKeys(t *testing.T) {
	t.Parallel()
	k := keys{prefix: "pitaya/"}
	require.Equal(t, "pitaya/groups/room", k.group("room"))
	require.Equal(t, "pitaya/groups/room/uids/", k.members("room"))
	require.Equal(t, "pitaya/groups/room/uids/ann", k.member("room", "ann"))
	for plain, escaped := range map[string]string{
		"a b": "a b", "50%": "50%", "%2f": "%2f", "a/b": "a%2Fb", "%2F": "%252F", "%25": "%2525", "%2/": "%2%2F", "%/": "%%2F",
	} {
		require.Equal(t, escaped, escape(plain))
		require.Equal(t, plain, unescape(escaped))
	}
}

func TestEscapingIsReversible(t *testing.T) {
	t.Parallel()
	part := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("%25F/2f")), 0, 12, -1))
	rapid.Check(t, func(t *rapid.T) {
		s := part.Draw(t, "s")
		require.Equal(t, s, unescape(escape(s)))
		require.NotContains(t, escape(s), "/")
	})
}

func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"ann", "%2F", "%25%2", "%", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if unescape(escape(s)) != s {
			t.Fatalf("%q became %q", s, unescape(escape(s)))
		}
		_ = unescape(s)
	})
}
