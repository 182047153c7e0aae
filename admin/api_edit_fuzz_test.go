package admin

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDecodePatch: whatever is sent is an edit that says just what the patch says,
// or a refusal that is not the server's fault.
func FuzzDecodePatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"state":"paused","weight":50,"metadata":{"k":"v","gone":null}}`, `{"state":null}`, `{"weight":1e3}`, `null`,
		`{"metadata":{"":""}}`, `{"metadata":null}`, `[]`, `{"State":"up"}`, `{"weight":9223372036854775808}`, `{}{}`, "{\"state\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodePatch(body)
		if err != nil {
			require.Equal(t, http.StatusBadRequest, problemOf(err).status)
			require.NotEmpty(t, err.Error())
			return
		}
		require.Zero(t, e.IfRevision)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(body, &fields))
		_, named := fields["state"]
		require.Equal(t, named, e.State != "")
		_, named = fields["weight"]
		require.Equal(t, named, e.Weight != nil)
		keys, _ := fields["metadata"].(map[string]any)
		require.Len(t, e.Metadata, len(keys))
		for key, value := range keys {
			text, ok := e.Metadata[key]
			require.True(t, ok)
			require.Equal(t, value == nil, text == nil)
		}
	})
}

// FuzzIfMatch: never an edit of whatever there is, unless that was asked for.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{``, `*`, `"12"`, `12`, `W/"12"`, `"0"`, `-1`, `"1", "2"`, `"`, `""`, `W/`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		revision, err := ifMatch(http.Header{"If-Match": {tag}})
		switch {
		case err != nil:
			require.Equal(t, http.StatusBadRequest, problemOf(err).status)
		case revision == 0:
			require.Regexp(t, `^[ \t]*\*?[ \t]*$`, tag)
		default:
			require.Positive(t, revision)
		}
	})
}
