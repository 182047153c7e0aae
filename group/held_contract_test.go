package group_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/group"
)

const patience = 30 * time.Second

func contractAttributes(t *testing.T, fresh freshStore) {
	self := group.Holder{Server: "gate-1", Run: "run/1"}
	g, ctx := started(t, fresh(t, self)), t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.CreateWithTTL(ctx, "match", time.Hour))
	red := map[string]string{"team": "red", "": ""}
	require.ErrorIs(t, g.Add(ctx, "room", "ann", group.WithAttributes(red)), group.ErrIllegalAttributes)
	delete(red, "")
	for _, name := range []string{"room", "match"} {
		require.NoError(t, g.Add(ctx, name, "ann", group.WithAttributes(red)))
		require.NoError(t, g.Add(ctx, name, "bob", group.HeldBy(self)))
		require.NoError(t, g.Add(ctx, name, "cid"))
		require.NoError(t, g.SetAttributes(ctx, name, "bob", map[string]string{"team": "blue"}))
		members, err := g.List(ctx, name)
		require.NoError(t, err)
		require.Equal(t, []group.Member{
			{UID: "ann", Attributes: map[string]string{"team": "red"}},
			{UID: "bob", Attributes: map[string]string{"team": "blue"}, Holder: self}, {UID: "cid"},
		}, members)
		require.NoError(t, g.SetAttributes(ctx, name, "ann", nil))
		require.NoError(t, g.Remove(ctx, name, "bob"))
		require.NoError(t, g.Add(ctx, name, "bob"))
		members, err = g.List(ctx, name)
		require.NoError(t, err)
		require.Equal(t, []group.Member{{UID: "ann"}, {UID: "bob"}, {UID: "cid"}}, members)
	}
	require.ErrorIs(t, g.SetAttributes(ctx, "none", "ann", nil), group.ErrNotFound)
	require.ErrorIs(t, g.SetAttributes(ctx, "room", "zoe", nil), group.ErrMemberNotFound)
	_, err := g.List(ctx, "none")
	require.ErrorIs(t, err, group.ErrNotFound)
	contractAttributeLimits(t, g)
	require.ErrorIs(t, g.Add(ctx, "room", "dee", group.HeldBy(group.Holder{Server: "gate-1", Run: "run"})), group.ErrServerGone)
	require.ErrorIs(t, g.Add(ctx, "room", "dee", group.UntilUnbind(group.Holder{})), group.ErrServerGone)
}

func contractAttributeLimits(t *testing.T, g *group.Groups) {
	many := map[string]string{}
	for i := range group.MaxAttributes {
		many[fmt.Sprint(i)] = "x"
	}
	require.NoError(t, g.SetAttributes(t.Context(), "room", "ann", many))
	many["more"] = ""
	require.ErrorIs(t, g.SetAttributes(t.Context(), "room", "ann", many), group.ErrIllegalAttributes)
	long := map[string]string{"k": strings.Repeat("x", group.MaxAttributeBytes-1)}
	require.NoError(t, g.SetAttributes(t.Context(), "room", "ann", long))
	long["k"] += "x"
	require.ErrorIs(t, g.SetAttributes(t.Context(), "room", "ann", long), group.ErrIllegalAttributes)
	require.ErrorIs(t, g.SetAttributes(t.Context(), "room", "ann", map[string]string{"k": "\xff"}), group.ErrIllegalAttributes)
}

// ear is a listener that remembers.
type ear struct {
	mu    sync.Mutex // guards heard
	heard []string
}

func (e *ear) note(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, text)
}

func (e *ear) MemberJoined(name string, m group.Member) { e.note(name + " +" + m.UID) }

func (e *ear) MemberLeft(name string, m group.Member, why group.Reason) {
	e.note(fmt.Sprintf("%s -%s (%s)", name, m.UID, why))
}

func (e *ear) Missed() { e.note("missed") }

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.heard...)
}

// hears waits until everything was heard, and nothing else.
func (e *ear) hears(t testing.TB, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(e.all()) >= len(want) }, patience, 5*time.Millisecond, "%v", want)
	require.Equal(t, want, e.all())
}

// bounds is who has a session.
type bounds struct{ sync.Map }

func (b *bounds) has(uid string) bool {
	_, there := b.Load(uid)
	return there
}

func listen(t testing.TB, g *group.Groups) *ear {
	t.Helper()
	e := &ear{}
	stop, err := g.Watch(t.Context(), e)
	require.NoError(t, err)
	t.Cleanup(stop)
	return e
}
