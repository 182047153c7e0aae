package browsertest

import (
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

const page = `<!doctype html><title>t</title>
<meta http-equiv="Content-Security-Policy" content="script-src 'nonce-n'">
<form data-testid="form"><input data-testid="name"><textarea data-testid="text"></textarea>
<button data-testid="go" disabled>Go</button></form>
<p data-testid="out"></p><p data-testid="out" hidden>hidden</p><p data-testid="scheme"></p>
<script nonce="n">
const by = (id) => document.querySelector('[data-testid=' + id + ']');
by('form').onsubmit = (e) => { e.preventDefault(); setTimeout(() => { by('out').textContent = 'hello ' + by('name').value + by('text').value; }, 50); };
by('name').oninput = () => setTimeout(() => { by('go').disabled = false; }, 50);
by('text').onkeydown = (e) => { if (e.key === 'Enter') { e.preventDefault(); by('out').textContent = 'entered'; } };
const dark = matchMedia('(prefers-color-scheme: dark)');
(dark.onchange = () => { by('scheme').textContent = dark.matches ? 'dark' : 'light'; })();
console.log('loaded', 7);
</script>`

func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTabsFillClickWaitAndShoot(t *testing.T) {
	t.Parallel()
	url := serve(t)
	browser := Start(t)
	first, second := browser.Open(t, url), browser.Open(t, url)

	// The first tab is in the background by now.
	for i, tab := range []*Tab{first, second} {
		name := fmt.Sprintf("ada %d \"quoted\" <b>", i)
		tab.Fill("name", name)
		tab.Click("go")
		tab.WaitText("out", "hello "+name)
		require.Equal(t, name, tab.Value("name"))
		require.Equal(t, []string{"hello " + name}, tab.Texts("out"))
		tab.Fill("text", "more")
		tab.Press("text", "\r")
		tab.WaitText("out", "entered")
		tab.WaitGone("out", "hello")
		require.Contains(t, tab.log.String(), "loaded")
	}

	first.PreferColors("dark")
	first.WaitText("scheme", "dark")
	first.Resize(390, 844)
	require.Equal(t, [2]int{390, 844}, shoot(t, first))
	second.Close()
	second.Close()
}

func shoot(t *testing.T, tab *Tab) [2]int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.png")
	tab.Screenshot(path)
	file, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	picture, err := png.DecodeConfig(file)
	require.NoError(t, err)
	return [2]int{picture.Width, picture.Height}
}

func TestNoProcessOutlivesTheTest(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("there is no /proc to look into")
	}
	var profile string
	t.Run("browser", func(t *testing.T) {
		browser := Start(t)
		browser.Open(t, serve(t))
		profile = profileOf(t, browser)
		require.NotEmpty(t, processesWith(t, profile))
	})
	if profile == "" {
		t.Skip("no browser ran")
	}
	require.Empty(t, processesWith(t, profile))
	require.NoDirExists(t, profile)
}

func TestAMissingBrowserSkipsOrFails(t *testing.T) {
	t.Parallel()
	_, err := find([]string{"no-such-browser"})
	require.ErrorContains(t, err, "no Chromium is installed")
	for policy, want := range map[string]string{"": "skip", "required": "fail"} {
		spy := &spyTB{TB: t}
		skipOrFail(spy, err, policy)
		require.Equal(t, want, spy.verdict)
		require.Contains(t, spy.message, "chromium")
		require.Contains(t, spy.message, requireEnv)
	}
}

// spyTB notes how a test would have ended.
type spyTB struct {
	testing.TB
	verdict, message string
}

func (s *spyTB) Helper() {}

func (s *spyTB) Skipf(format string, args ...any) {
	s.verdict, s.message = "skip", fmt.Sprintf(format, args...)
}

func (s *spyTB) Fatalf(format string, args ...any) {
	s.verdict, s.message = "fail", fmt.Sprintf(format, args...)
}

// profileOf is the profile folder that Chromium was started with.
func profileOf(t *testing.T, browser *Browser) string {
	t.Helper()
	pid := chromedp.FromContext(browser.root).Browser.Process().Pid
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	require.NoError(t, err)
	for _, arg := range strings.Split(string(line), "\x00") {
		if profile, ok := strings.CutPrefix(arg, "--user-data-dir="); ok {
			return profile
		}
	}
	require.Fail(t, "no profile", "in %q", line)
	return ""
}

// processesWith lists the processes whose command line names the profile.
func processesWith(t *testing.T, profile string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, file := range files {
		line, _ := os.ReadFile(file) // the process may be gone
		if strings.Contains(string(line), "--user-data-dir="+profile) {
			found = append(found, file+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
