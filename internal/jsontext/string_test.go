package jsontext_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/internal/jsontext"
)

// TestStrings: what encoding/json writes and reads is found, and read the same.
func TestStrings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quoted, err := json.Marshal(rapid.String().Draw(t, "text"))
		require.NoError(t, err)
		requireRead(t, string(quoted), rapid.String().Draw(t, "rest"))
	})
	for _, quoted := range []string{`""`, `"\\"`, `"\""`, `"\u0041\\\""`, "\"\xff\xfe\"", `"\ud800"`} {
		requireRead(t, quoted, `"`)
	}
	for _, value := range []string{"", "null", "1", "{}"} {
		require.Empty(t, jsontext.Unquoted(value))
	}
	require.Equal(t, 3, jsontext.StringEnd(`"a\`, 0), "no quote")
}

func requireRead(t require.TestingT, quoted, rest string) {
	var want string
	require.NoError(t, json.Unmarshal([]byte(quoted), &want))
	require.Equal(t, len(quoted)+1, jsontext.StringEnd(" "+quoted+rest, 1))
	require.Equal(t, want, jsontext.Unquoted(quoted))
}
