package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/browsertest"
)

// TestTwoTabsSurviveTheDeathOfABackend is the chat as its visitors see it.
// With CEREUS_SCREENSHOTS=DIR it leaves pictures there.
func TestTwoTabsSurviveTheDeathOfABackend(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	c := startCluster(t, asIs)
	ada, bob := browser.Open(t, c.fronts[0].page), browser.Open(t, c.fronts[1].page)

	enter(ada, "ada", "garden")
	ada.WaitText("note", "You joined garden.")
	enter(bob, "bob", "garden")
	ada.WaitText("note", "bob joined.")
	ada.WaitText("member", "bob")
	bob.WaitText("member", "ada")
	ada.WaitText("state", "connector-1")
	bob.WaitText("state", "connector-2")

	say(ada, bob, "Hello from the first frontend!")
	say(bob, ada, "And hello back, from the second one.")

	c.rooms[0].signal(syscall.SIGKILL)
	require.Equal(t, -1, c.rooms[0].end(t))
	for _, text := range []string{"Did you notice anything?", "No. Should I have?", "One of the two room servers is dead."} {
		say(ada, bob, text)
		ada, bob = bob, ada
	}
	ada, bob = bob, ada
	require.Empty(t, ada.Texts("failure"))
	require.Empty(t, bob.Texts("failure"))

	eve := browser.Open(t, c.fronts[0].page)
	enter(eve, "ada", "garden")
	eve.WaitText("join-error", "taken")
	enter(eve, "eve", "garden")
	eve.WaitText("message", "Hello from the first frontend!") // said before the kill
	bob.WaitText("note", "eve joined.")
	say(bob, ada, "Welcome, eve.")
	shoot(t, ada, "chat")
	eve.Close()
	ada.WaitText("note", "eve left.")
	bob.WaitText("note", "eve left.")
	ada.WaitGone("member", "eve")

	bob.Click("leave")
	ada.WaitText("note", "bob left.")
}

func enter(tab *browsertest.Tab, name, room string) {
	tab.Fill("name", name)
	tab.Fill("room", room)
	tab.Click("join")
}

// say has one tab send a text and waits until both show it.
func say(from, to *browsertest.Tab, text string) {
	from.Fill("text", text)
	from.Press("text", "\r")
	from.WaitText("message", text)
	to.WaitText("message", text)
}

func shoot(t *testing.T, tab *browsertest.Tab, name string) {
	t.Helper()
	dir := os.Getenv("CEREUS_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, scheme := range []string{"light", "dark"} {
		tab.PreferColors(scheme)
		tab.Resize(1200, 800)
		tab.Screenshot(filepath.Join(dir, name+"-desktop-"+scheme+".png"))
		tab.Resize(390, 844)
		tab.Screenshot(filepath.Join(dir, name+"-phone-"+scheme+".png"))
	}
	tab.Resize(1200, 800)
}
