package browsertest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const pollInterval = 50 * time.Millisecond

// Tab is one open page. Its methods fail the test that opened it. A Tab is not
// for use by several goroutines at once.
type Tab struct {
	t    testing.TB
	tab  context.Context // chromedp's handle of the tab
	quit context.CancelFunc
	log  *pageLog
}

// Open opens url in a new tab of 1200 x 800 pixels and waits until it has
// loaded. The tab is closed
// when the test ends, if not before. What the page wrote to its console is
// logged when the test failed.
func (b *Browser) Open(t testing.TB, url string) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.root)
	tab := &Tab{t: t, tab: ctx, quit: cancel, log: &pageLog{}}
	t.Cleanup(func() {
		tab.Close()
		if t.Failed() {
			t.Logf("console of %s:\n%s", url, tab.log)
		}
	})
	// The first command opens the tab, which lives as long as its context.
	if err := chromedp.Listen(ctx, tab.log.event); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	tab.do("open "+url, chromedp.EmulateViewport(1200, 800), chromedp.Navigate(url))
	return tab
}

// Close closes the tab. It may be called any number of times.
func (tab *Tab) Close() {
	tab.quit()
}

// Fill replaces the value of the input or textarea with that test id, as
// typing does: the page sees its input and change events.
func (tab *Tab) Fill(id, text string) {
	tab.t.Helper()
	tab.wait("fill "+id, call(`(id, text) => {
		const e = find(id)[0];
		if (!e || e.disabled) return false;
		e.focus();
		const proto = e instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
		Object.getOwnPropertyDescriptor(proto.prototype, 'value').set.call(e, text);
		e.dispatchEvent(new Event('input', { bubbles: true }));
		e.dispatchEvent(new Event('change', { bubbles: true }));
		return true;
	}`, id, text), id)
}

// Click waits until an element with that test id is visible and enabled, and
// clicks on it with the mouse.
func (tab *Tab) Click(id string) {
	tab.t.Helper()
	tab.wait("click "+id, call(`(id) => find(id).some((e) => !e.disabled)`, id), id)
	tab.do("click "+id, chromedp.Click(selector(id)))
}

// Press sends keys to the element with that test id, for example "\r" for Enter.
func (tab *Tab) Press(id, keys string) {
	tab.t.Helper()
	tab.do("press a key in "+id, chromedp.SendKeys(selector(id), keys))
}

// WaitText waits until a visible element with that test id contains want.
func (tab *Tab) WaitText(id, want string) {
	tab.t.Helper()
	what := fmt.Sprintf("wait for %q in %s", want, id)
	tab.wait(what, call(`(id, want) => find(id).some((e) => e.textContent.includes(want))`, id, want), id)
}

// WaitGone waits until no visible element with that test id contains text; the
// empty text stands for any.
func (tab *Tab) WaitGone(id, text string) {
	tab.t.Helper()
	what := fmt.Sprintf("wait until %q is gone from %s", text, id)
	tab.wait(what, call(`(id, text) => !find(id).some((e) => e.textContent.includes(text))`, id, text), id)
}

// Texts are the texts of the visible elements with that test id, in the order
// of the page.
func (tab *Tab) Texts(id string) []string {
	tab.t.Helper()
	texts, err := tab.texts(id)
	if err != nil {
		tab.t.Fatalf("read %s: %v", id, err)
	}
	return texts
}

// Value is the value of the input or textarea with that test id.
func (tab *Tab) Value(id string) string {
	tab.t.Helper()
	value, err := run(tab, chromedp.Value(selector(id)))
	if err != nil {
		tab.t.Fatalf("read %s: %v", id, err)
	}
	return value
}

// Resize sets the size of the page in CSS pixels.
func (tab *Tab) Resize(width, height int64) {
	tab.t.Helper()
	tab.do("resize", chromedp.EmulateViewport(width, height))
}

// PreferColors has the page see "dark" or "light" as prefers-color-scheme.
func (tab *Tab) PreferColors(scheme string) {
	tab.t.Helper()
	tab.do("prefer "+scheme, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// Screenshot writes what the tab shows to a PNG file.
func (tab *Tab) Screenshot(path string) {
	tab.t.Helper()
	png, err := run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatalf("screenshot: %v", err)
	}
	if err := os.WriteFile(path, png, 0o600); err != nil {
		tab.t.Fatalf("screenshot: %v", err)
	}
}

func (tab *Tab) texts(id string) ([]string, error) {
	return run(tab, chromedp.Evaluate[[]string](call(`(id) => find(id).map((e) => e.textContent)`, id)))
}

func (tab *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if _, err := run(tab, chromedp.Steps(steps...)); err != nil {
		tab.t.Fatalf("%s: %v", what, err)
	}
}

// wait evaluates the condition until it holds, and tells what the elements
// with the test id read if it never does. Hidden tabs are no different.
func (tab *Tab) wait(what, condition, id string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.tab, StepTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		if err == nil && holds {
			return
		}
		select {
		case <-tick.C: // also after an error: the page may be on its way to another
		case <-ctx.Done():
			texts, _ := tab.texts(id)
			tab.t.Fatalf("%s: not within %v (last error: %v); %s reads %q", what, StepTimeout, err, id, texts)
		}
	}
}

// run runs one action within StepTimeout.
func run[T any](tab *Tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(tab.tab, StepTimeout)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// call is a JavaScript expression that calls function with args. In it
// find(id) gives the visible elements with a test id.
func call(function string, args ...string) string {
	encoded := make([]string, len(args))
	for i, arg := range args {
		encoded[i] = quote(arg)
	}
	return `(() => {
		const find = (id) => [...document.querySelectorAll('[data-testid=' + CSS.escape(id) + ']')].filter((e) => e.checkVisibility());
		return (` + function + `)(` + strings.Join(encoded, ", ") + `);
	})()`
}

func selector(id string) chromedp.CSS {
	return chromedp.CSS(`[data-testid=` + quote(id) + `]`)
}

// quote makes a string literal for JavaScript, and for CSS as long as s is
// plain, as test ids are.
func quote(s string) string {
	literal, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(literal)
}

// pageLog keeps what a page wrote to its console and what it failed to catch.
type pageLog struct {
	mu    sync.Mutex // guards lines: events come from chromedp's reader
	lines []string
}

func (l *pageLog) event(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		l.add(string(e.Type), e.Args...)
	case *runtime.EventExceptionThrown:
		l.add(e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	}
}

func (l *pageLog) add(kind string, args ...*runtime.RemoteObject) {
	words := []string{kind + ":"}
	for _, arg := range args {
		if arg != nil {
			words = append(words, cmp.Or(arg.Description, string(arg.Value)))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.Join(words, " "))
}

// String is one line for each entry.
func (l *pageLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
