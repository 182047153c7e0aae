package browsertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	// StepTimeout bounds each step: a click, a wait for a text, a screenshot.
	StepTimeout = 30 * time.Second

	browserTimeout = 10 * time.Minute // from start to end of one browser
	closeTimeout   = 10 * time.Second // then Chromium is killed
)

// requireEnv is the environment variable that, set to "required", turns a
// missing Chromium from a skip into a failure. CI sets it.
const requireEnv = "CEREUSTEST_BROWSER"

// executables are the names Chromium goes by, the best first.
func executables() []string {
	return []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"}
}

// Browser is one Chromium process with a profile of its own. It ends with the
// test that started it.
type Browser struct {
	// root is chromedp's handle of the process; tabs are contexts below it.
	root context.Context
}

// Start starts a headless Chromium and closes it when the test ends. It skips
// the test when none is installed, and fails it when CEREUSTEST_BROWSER=required.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := find(executables())
	if err != nil {
		skipOrFail(t, err, os.Getenv(requireEnv))
	}
	bounded, cancel := context.WithTimeout(context.Background(), browserTimeout)
	allocator, freeAllocator := chromedp.NewExecAllocator(bounded, flags(path)...)
	root, cancelRoot := chromedp.NewContext(allocator, chromedp.WithLogf(t.Logf), chromedp.WithErrorf(quiet))
	t.Cleanup(func() {
		closeBrowser(root)
		cancelRoot()
		freeAllocator() // waits for the process and removes the profile
		cancel()
	})
	if err := chromedp.Do(root); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return &Browser{root: root}
}

// find returns the path of the first name that is installed.
func find(names []string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium is installed (Debian: apt-get install chromium)")
}

func skipOrFail(t testing.TB, reason error, policy string) {
	t.Helper()
	if policy == "required" {
		t.Fatalf("%s=required: %v", requireEnv, reason)
		return
	}
	t.Skipf("%v; set %s=required to fail instead", reason, requireEnv)
}

// flags keep Chromium from doing anything but what the test asks for. The
// profile is a new temporary folder, as no user-data-dir is given.
func flags(path string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-crash-reporter", true),
		chromedp.WindowSize(1200, 800),
	)
}

// closeBrowser asks Chromium to go; what does not go in time is killed.
func closeBrowser(root context.Context) {
	ctx, cancel := context.WithTimeout(root, closeTimeout)
	defer cancel()
	_ = chromedp.Cancel(ctx) // what it could say is of no use to a test that is over
}

// quiet drops chromedp's complaints about protocol events it does not know.
func quiet(string, ...any) {}
