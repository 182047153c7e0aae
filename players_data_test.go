package cereus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/session"
)

// inventory is nested session data.
type inventory struct {
	Gold  int64             `json:"gold"`
	Icon  []byte            `json:"icon"`
	Items map[string][]uint `json:"items"`
	Best  *inventory        `json:"best,omitempty"`
}

var (
	keyItems  = session.NewKey[inventory]("items")
	keyLarge  = session.NewKey[int64]("large")
	keySmall  = session.NewKey[int]("small")
	keyUint   = session.NewKey[uint64]("uint")
	keyBytes  = session.NewKey[[]byte]("bytes")
	keyNested = session.NewKey[map[string]any]("nested")
)

// owned is what the tests put in, and find everywhere else.
func owned() inventory {
	return inventory{
		Gold: 1<<53 + 1, Icon: []byte{0, 255, 10}, Items: map[string][]uint{"ü<&>": {1, 2}, "": nil},
		Best: &inventory{Gold: math.MinInt64, Items: map[string][]uint{}},
	}
}

// nested is what a value without a type of its own comes back as.
func nested() map[string]any { return map[string]any{"a": []any{"b", nil, true}} }

// notebook writes and reads the data of sessions.
type notebook struct{}

func (n notebook) Routes(r *component.Routes) {
	component.HandleRaw(r, "write", n.write)
	component.HandleRaw(r, "read", n.read)
	component.HandleRaw(r, "mark", n.mark, component.WithConcurrent())
	component.HandleRaw(r, "all", func(ctx context.Context, _ []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return s.Data(), nil
	})
}

func (notebook) write(ctx context.Context, _ []byte) ([]byte, error) {
	s, _ := session.FromContext(ctx)
	return []byte{}, errors.Join(
		keyItems.Set(s, owned()), keyLarge.Set(s, math.MaxInt64), keySmall.Set(s, -7), keyUint.Set(s, math.MaxUint64),
		keyBytes.Set(s, []byte{0, 200, 10}), keyNested.Set(s, nested()), s.Save(ctx),
	)
}

// read fails where a value is not what it was.
func (notebook) read(ctx context.Context, _ []byte) ([]byte, error) {
	s, _ := session.FromContext(ctx)
	return []byte{}, errors.Join(
		same(s, keyItems, owned()), same(s, keyLarge, math.MaxInt64), same(s, keySmall, -7), same(s, keyUint, math.MaxUint64),
		same(s, keyBytes, []byte{0, 200, 10}), same(s, keyNested, nested()),
	)
}

func same[T any](s *session.Session, key session.Key[T], want T) error {
	got, err := key.Get(s)
	if err == nil && !assert.ObjectsAreEqual(want, got) {
		err = fmt.Errorf("%v rather than %v", got, want)
	}
	return err
}

// mark sets the key that it is told, and one that all set.
func (notebook) mark(ctx context.Context, key []byte) ([]byte, error) {
	s, _ := session.FromContext(ctx)
	return []byte{}, errors.Join(s.Set(string(key), string(key)), s.Set("both", string(key)), s.Save(ctx))
}

// TestS17_TwoBackendsOneSession: what one writes the other reads as it was, and
// what both write at once is all there.
func TestS17_TwoBackendsOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) { require.NoError(t, app.Register(notebook{}, component.WithName("notes"))) }
	room, match := w.start(server{kind: "room", game: game}), w.start(server{kind: "match", game: game})
	front := w.start(server{kind: "gate", front: true, game: game})
	sees(t, room, "gate", 1)
	sees(t, match, "gate", 1)
	sees(t, front, "room", 1)
	sees(t, front, "match", 1)

	for _, writer := range []string{"room", "match", "gate"} {
		p := dial(t, front)
		p.mustAsk(writer+".notes.write", "")
		for _, reader := range []string{"match", "gate", "room"} {
			p.mustAsk(reader+".notes.read", "")
			p.mustAsk(reader+".notes.mark", "other")
		}
		p.mustAsk("match.notes.read", "") // what they did not write stays
	}

	p := dial(t, front)
	marks := map[string]string{}
	for round := range 30 {
		var both sync.WaitGroup
		for _, at := range []string{"room", "match", "gate"} {
			key := fmt.Sprint(at, round)
			marks[key] = key
			both.Go(func() {
				if _, err := p.ask(at+".notes.mark", key); err != nil {
					t.Errorf("%s: %v", key, err)
				}
			})
		}
		both.Wait()
	}
	for _, at := range []string{"gate", "room", "match"} {
		var data map[string]string
		require.NoError(t, json.Unmarshal([]byte(p.mustAsk(at+".notes.all", "")), &data), at)
		require.Contains(t, []string{"room29", "match29", "gate29"}, data["both"])
		delete(data, "both")
		delete(data, "ipversion")
		require.Equal(t, marks, data, at)
	}
}
