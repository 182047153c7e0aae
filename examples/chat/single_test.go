package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEverythingInOneProcess is `go run ./examples/chat`, until Ctrl-C.
func TestEverythingInOneProcess(t *testing.T) { //nolint:paralleltest // it sets the environment
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	p := launch(t, asIs)
	fronts := frontends(t, p)
	require.Len(t, fronts, 2)

	var talkers []*talker
	for i, f := range fronts {
		require.Contains(t, fetch(t, f.page+"/"), "cereus chat")
		require.Contains(t, fetch(t, f.page+"/cereus.js"), "export class Client")
		var told struct{ WS, Frontend string }
		require.NoError(t, json.Unmarshal([]byte(fetch(t, f.page+"/config.json")), &told))
		require.Equal(t, f.ws, told.WS)
		require.Equal(t, []string{"connector-1", "connector-2"}[i], told.Frontend)
		talkers = append(talkers, connect(t, told.WS))
	}
	ada, bob := talkers[0], talkers[1]
	require.Equal(t, []string{"ada"}, ada.join(t, "ada", "lobby").Members)
	require.Equal(t, []string{"ada", "bob"}, bob.join(t, "bob", "lobby").Members)
	ada.wants(t, "chat.joined", `"bob"`)
	require.NoError(t, ada.say("hello"))
	bob.wants(t, "chat.message", `"hello"`)
	require.NoError(t, bob.Close())
	ada.wants(t, "chat.left", `"bob"`)

	began := time.Now()
	p.signal(os.Interrupt)
	require.Equal(t, 0, p.end(t), p.output())
	t.Logf("stopped after %v", time.Since(began).Round(time.Millisecond))
	<-ada.Done()
	left, err := filepath.Glob(filepath.Join(temp, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestWhatItSaysWhenItCannotStart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-server", "pub-1"}, {"-no-such-flag"}, {"room-1"}} {
		err := run(t.Context(), args, io.Discard)
		require.Error(t, err, args)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Close = true // no idle connection stays behind
	reply, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode, "%s: %s", url, body)
	return string(body)
}
