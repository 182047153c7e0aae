package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
)

func TestRules(t *testing.T) {
	t.Parallel()
	c := startCluster(t, asIs)

	t.Run("names", func(t *testing.T) {
		t.Parallel()
		for _, wrong := range []string{"", " ", "Ada L", "ada.", "a/b", "a\nb", strings.Repeat("x", 33)} {
			v := connect(t, c.fronts[0].tcp)
			require.ErrorIs(t, v.try("room.chat.join", &JoinRequest{Name: wrong, Room: "names"}), errs.ErrBadRequest, "%q", wrong)
			require.ErrorIs(t, v.try("room.chat.join", &JoinRequest{Name: "ida", Room: wrong}), errs.ErrBadRequest, "%q", wrong)
		}
		ida, other := connect(t, c.fronts[0].tcp), connect(t, c.fronts[1].tcp)
		require.Equal(t, "ida", ida.join(t, " ida ", "names").Name)
		require.ErrorIs(t, other.try("room.chat.join", &JoinRequest{Name: "ida", Room: "names"}), errs.ErrConflict)
		require.ErrorIs(t, other.try("room.chat.join", &JoinRequest{Name: "ida", Room: "elsewhere"}), errs.ErrConflict)
		require.ErrorIs(t, ida.try("room.chat.join", &JoinRequest{Name: "eva", Room: "names"}), errs.ErrBadRequest)
		require.Equal(t, []string{"Zoë_B-3"}, other.join(t, "Zoë_B-3", "elsewhere").Members)
	})

	t.Run("rooms", func(t *testing.T) {
		t.Parallel()
		maxi, moritz := connect(t, c.fronts[0].tcp), connect(t, c.fronts[1].tcp)
		require.ErrorIs(t, maxi.say("anybody?"), errs.ErrNotFound)
		maxi.join(t, "max", "attic")
		require.Equal(t, []string{"max", "moritz"}, moritz.join(t, "moritz", "attic").Members)
		maxi.wants(t, "chat.joined", `"moritz"`)
		require.Equal(t, []string{"max", "moritz"}, moritz.join(t, "moritz", "attic").Members, "once more changes nothing")
		require.Equal(t, []string{"moritz"}, moritz.join(t, "moritz", "porch").Members)
		maxi.wants(t, "chat.left", `"moritz"`)
		require.NoError(t, moritz.try("room.chat.leave", nil))
		require.NoError(t, moritz.try("room.chat.leave", nil))
		require.ErrorIs(t, moritz.say("anybody?"), errs.ErrNotFound)
		require.Equal(t, []string{"max"}, maxi.join(t, "max", "porch").Members)
	})

	t.Run("history", func(t *testing.T) {
		t.Parallel()
		clio := connect(t, c.fronts[0].tcp)
		require.Empty(t, clio.join(t, "clio", "library").History)
		for _, wrong := range []string{"", "  \n", strings.Repeat("ü", 1001)} {
			require.ErrorIs(t, clio.say(wrong), errs.ErrBadRequest)
		}
		require.NoError(t, clio.say(strings.Repeat("ü", 1000)))
		for i := range kept + 5 {
			require.NoError(t, clio.say(fmt.Sprintf(" text %d ", i)))
		}
		history := connect(t, c.fronts[1].tcp).join(t, "thalia", "library").History
		require.Len(t, history, kept)
		for i, m := range history {
			require.Equal(t, Message{Room: "library", From: "clio", Text: fmt.Sprintf("text %d", i+5), At: m.At}, m)
			require.WithinDuration(t, time.Now(), time.UnixMilli(m.At), time.Minute)
		}
	})
}

// TestAKilledFrontendLeavesNoGhosts: nobody says goodbye for its visitors, but
// their names are free, and their places empty, when the cluster knows.
func TestAKilledFrontendLeavesNoGhosts(t *testing.T) {
	t.Parallel()
	c := startCluster(t, asIs)
	lost, other, again := connect(t, c.fronts[0].tcp), connect(t, c.fronts[1].tcp), connect(t, c.fronts[1].tcp)
	lost.join(t, "orpheus", "river")
	connect(t, c.fronts[0].tcp).join(t, "eurydice", "river")
	require.Equal(t, []string{"charon", "eurydice", "orpheus"}, other.join(t, "charon", "river").Members)

	c.doors[0].signal(syscall.SIGKILL)
	c.doors[0].end(t)
	require.Eventually(t, func() bool {
		return again.try("room.chat.join", &JoinRequest{Name: "orpheus", Room: "river"}) == nil
	}, patience, 100*time.Millisecond)
	require.Equal(t, []string{"charon", "orpheus"}, other.join(t, "charon", "river").Members)
	other.wants(t, "chat.left", `"eurydice"`)
}
