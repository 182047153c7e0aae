package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// exactly compares bytes: what travels is compact and has sorted keys.
func exactly(t *testing.T, s *session.Session, want string) {
	t.Helper()
	require.Equal(t, want, string(s.Data()))
}

func TestData(t *testing.T) {
	t.Parallel()
	s := open(t, session.Params{})
	exactly(t, s, `{}`)
	require.NoError(t, s.Set("ipversion", "ipv4"))
	require.NoError(t, s.Set("b", true))
	require.NoError(t, s.Set("a<", []any{1, "x", nil, map[string]int{"y": 2}}))
	exactly(t, s, `{"a\u003c":[1,"x",null,{"y":2}],"b":true,"ipversion":"ipv4"}`)
	first, second := s.Data(), s.Data()
	require.Same(t, &first[0], &second[0], "encoded once")
	require.Equal(t, []any{json.Number("1"), "x", nil, map[string]any{"y": json.Number("2")}}, s.Get("a<"))
	require.NoError(t, s.Set("a<", nil))
	require.NoError(t, s.Set("never", nil))
	require.NoError(t, s.Set("b", (*int)(nil)))
	exactly(t, s, `{"ipversion":"ipv4"}`)
	require.Nil(t, s.Get("b"))
	require.NoError(t, s.Save(t.Context()), "nothing to do on a frontend")
}

func TestDataThatCame(t *testing.T) {
	t.Parallel()
	raw := []byte(` {"z": 1, "a": 9007199254740993, "n": null} `)
	s := open(t, session.Params{Data: raw})
	require.Equal(t, strings.TrimSpace(string(raw)), string(s.Data()), "as it came until it changes")
	require.Equal(t, json.Number("9007199254740993"), s.Get("a"))
	require.NoError(t, s.Set("m", math.MaxInt64))
	exactly(t, s, `{"a":9007199254740993,"m":9223372036854775807,"n":null,"z":1}`)
	for _, empty := range []string{"", "null", " ", "{}"} {
		require.Equal(t, `{}`, string(open(t, session.Params{Data: []byte(empty)}).Data()))
	}
	for _, bad := range []string{"[]", "1", `"x"`, "{", `{"a":}`, "nul", "{}{}"} {
		_, err := session.New(session.Params{Data: []byte(bad)})
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), bad)
	}
}

type loadout struct {
	Slots []string
	Gold  int64
}

type loud struct{}

func (loud) MarshalJSON() ([]byte, error) { panic("loud") }
func (*loud) UnmarshalJSON([]byte) error  { panic("loud") }

func TestKeys(t *testing.T) {
	t.Parallel()
	s := open(t, session.Params{Data: []byte(`{"level":"high"}`)})
	level, gold, blob := session.NewKey[int]("level"), session.NewKey[int64]("gold"), session.NewKey[[]byte]("blob")
	_, err := level.Get(s)
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
	require.ErrorContains(t, err, `session data "level"`)
	_, err = level.Or(s, 1)
	require.Error(t, err, "a wrong type is not a missing value")
	_, err = gold.Get(s)
	require.ErrorIs(t, err, session.ErrNotSet)
	v, err := gold.Or(s, 5)
	require.NoError(t, err)
	require.EqualValues(t, 5, v)

	require.NoError(t, level.Set(s, 12))
	require.NoError(t, gold.Set(s, math.MinInt64))
	require.NoError(t, blob.Set(s, []byte{0, 255}))
	far := open(t, session.Params{Data: slices.Clone(s.Data()), Backend: true})
	n, err := level.Get(far)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	v, err = gold.Get(far)
	require.NoError(t, err)
	require.EqualValues(t, math.MinInt64, v)
	b, err := blob.Get(far)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 255}, b)

	kit := session.NewKey[loadout]("kit")
	require.NoError(t, kit.Set(s, loadout{[]string{"sword"}, math.MaxInt64}))
	got, err := kit.Get(s)
	require.NoError(t, err)
	require.Equal(t, loadout{[]string{"sword"}, math.MaxInt64}, got)

	noise := session.NewKey[loud]("noise")
	require.ErrorContains(t, noise.Set(s, loud{}), "loud")
	require.NoError(t, s.Set("noise", 1))
	_, err = noise.Get(s)
	require.ErrorContains(t, err, "loud")
	require.Error(t, s.Set("chan", make(chan int)))
	require.Error(t, s.Set("nan", math.NaN()))
}

func TestMergeAndReplace(t *testing.T) {
	t.Parallel()
	s := open(t, session.Params{Data: []byte(`{"a":1,"b":2}`)})
	require.NoError(t, s.Merge(session.Changes{Object: nil}))
	require.NoError(t, s.Merge(session.Changes{Object: []byte("{}")}))
	require.NoError(t, s.Merge(session.Changes{Object: []byte(`{"b":null,"c":{"x":[1e2]}}`)}))
	exactly(t, s, `{"a":1,"c":{"x":[1e2]}}`)
	require.NoError(t, s.Replace(nil))
	exactly(t, s, `{"a":1,"c":{"x":[1e2]}}`)
	for _, bad := range []string{"[]", "{", "7"} {
		require.Equal(t, errs.CodeInternal, errs.CodeOf(s.Merge(session.Changes{Object: []byte(bad)})), bad)
		require.Equal(t, errs.CodeInternal, errs.CodeOf(s.Replace([]byte(bad))), bad)
	}
	exactly(t, s, `{"a":1,"c":{"x":[1e2]}}`)
	fresh := []byte(`{"d":4}`)
	require.NoError(t, s.Replace(fresh))
	fresh[2] = 'x'
	exactly(t, s, `{"d":4}`)
	require.NoError(t, s.Replace([]byte("{}")))
	exactly(t, s, `{}`)
}

func TestSaveSendsWhatChanged(t *testing.T) {
	t.Parallel()
	var changes, all string
	var fail error
	e := &entity{save: func(c, a []byte) error { changes, all = string(c), string(a); return fail }}
	s := open(t, session.Params{Backend: true, Entity: e, Data: []byte(`{"a":1,"b":2}`)})
	require.NoError(t, s.Save(t.Context()))
	require.Empty(t, changes, "without changes there is nothing to send")
	require.NoError(t, s.Set("c", 3))
	require.NoError(t, s.Set("a", nil))
	fail = errs.ErrUnavailable
	require.ErrorIs(t, s.Save(t.Context()), fail)
	require.Equal(t, `{"a":null,"c":3}`, changes)
	require.Equal(t, `{"b":2,"c":3}`, all)
	fail, changes = nil, ""
	require.NoError(t, s.Set("d", 4))
	require.NoError(t, s.Save(t.Context()))
	require.Equal(t, `{"a":null,"c":3,"d":4}`, changes, "what a failed Save held goes with the next")
	changes = ""
	require.NoError(t, s.Save(t.Context()))
	require.Empty(t, changes)
}

func TestSetDuringSaveIsNotLost(t *testing.T) {
	t.Parallel()
	var s *session.Session
	var sent []string
	e := &entity{}
	e.save = func(c, _ []byte) error {
		if sent = append(sent, string(c)); len(sent) == 1 {
			return s.Set("a", 2)
		}
		return nil
	}
	s = open(t, session.Params{Backend: true, Entity: e})
	require.NoError(t, s.Set("a", 1))
	require.NoError(t, s.Save(t.Context()))
	require.NoError(t, s.Save(t.Context()))
	require.NoError(t, s.Save(t.Context()))
	require.Equal(t, []string{`{"a":1}`, `{"a":2}`}, sent)
}

func TestSaveWaitsForItsTurnNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &entity{save: func([]byte, []byte) error { <-release; return nil }}
		s := open(t, session.Params{Backend: true, Entity: e})
		require.NoError(t, s.Set("a", 1))
		done := make(chan error, 1)
		go func() { done <- s.Save(t.Context()) }()
		synctest.Wait()
		stop := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		require.ErrorIs(t, s.Save(ctx), stop)
		close(release)
		require.NoError(t, <-done)
	})
}

// S17 for a session: what backends save merges per key, the later wins, none
// vanishes, and every type survives.
func TestS17_MergeModel(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(
		rapid.Just[any](nil), rapid.Int64().AsAny(), rapid.String().AsAny(), rapid.Bool().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.MapOf(rapid.String(), rapid.Int64()).AsAny(),
	)
	rapid.Check(t, func(t *rapid.T) {
		front := must(session.New(session.Params{Entity: &entity{}}))
		merge := &entity{save: func(changes, _ []byte) error { return front.Merge(session.Changes{Object: changes}) }}
		backs := make([]*session.Session, 2)
		model := map[string]string{}
		pending := []map[string]string{{}, {}}
		refresh := func(i int) {
			backs[i] = must(session.New(session.Params{Backend: true, Entity: merge, Data: slices.Clone(front.Data())}))
			pending[i] = map[string]string{}
		}
		refresh(0)
		refresh(1)
		i := rapid.IntRange(0, 1)
		keys := rapid.SampledFrom([]string{"a", "b", "<c>", "é\u2028"})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				at, key, v := i.Draw(t, "backend"), keys.Draw(t, "key"), value.Draw(t, "value")
				require.NoError(t, backs[at].Set(key, v))
				pending[at][key] = string(must(json.Marshal(v)))
			},
			"set at the front": func(t *rapid.T) {
				key, v := keys.Draw(t, "key"), value.Draw(t, "value")
				require.NoError(t, front.Set(key, v))
				model[key] = string(must(json.Marshal(v)))
			},
			"save": func(t *rapid.T) {
				at := i.Draw(t, "backend")
				require.NoError(t, backs[at].Save(context.Background()))
				maps.Copy(model, pending[at])
				clear(pending[at])
			},
			"next message": func(t *rapid.T) { refresh(i.Draw(t, "backend")) },
			"": func(t *rapid.T) {
				want := map[string]json.RawMessage{}
				for key, raw := range model {
					if raw != "null" {
						want[key] = json.RawMessage(raw)
					}
				}
				require.Equal(t, string(must(json.Marshal(want))), string(front.Data()))
			},
		})
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestConcurrentValues(t *testing.T) {
	t.Parallel()
	front := open(t, session.Params{})
	e := &entity{save: func(changes, _ []byte) error { return front.Merge(session.Changes{Object: changes}) }}
	s := open(t, session.Params{Backend: true, Entity: e})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := session.NewKey[int](string(rune('a' + i)))
			for n := range 200 {
				_ = key.Set(s, n)
				_ = s.Save(context.Background())
				_, _ = key.Get(s)
				_, _ = s.Get("a"), s.Data()
				_ = front.Data()
			}
		})
	}
	wg.Wait()
	exactly(t, front, `{"a":199,"b":199,"c":199,"d":199,"e":199,"f":199,"g":199,"h":199}`)
}

func FuzzData(f *testing.F) {
	f.Add([]byte(`{"ipversion":"ipv4"}`), []byte(`{"a":null,"b":[1,2]}`))
	f.Add([]byte(`null`), []byte(``))
	f.Add([]byte(`{"a":1,"a":2}`), []byte(`{"\ud800":1}`))
	f.Fuzz(func(t *testing.T, data, changes []byte) {
		s, err := session.New(session.Params{Data: data, Entity: &entity{}})
		if err != nil {
			return
		}
		if !json.Valid(s.Data()) || s.Data()[0] != '{' {
			t.Fatalf("not an object: %q", s.Data())
		}
		_ = s.Merge(session.Changes{Object: changes})
		_ = s.Set("k", "v")
		if !json.Valid(s.Data()) || s.Get("k") != "v" {
			t.Fatalf("damaged: %q", s.Data())
		}
		_ = s.Replace(changes)
		if !json.Valid(s.Data()) {
			t.Fatalf("damaged: %q", s.Data())
		}
	})
}

// TestS17_LateSaves: a Save that was given up and comes late takes nothing back
// from a later one of the same server; those of others win as they come.
func TestS17_LateSaves(t *testing.T) {
	t.Parallel()
	s := open(t, session.Params{})
	merge := func(writer string, version uint64, object string) {
		t.Helper()
		require.NoError(t, s.Merge(session.Changes{Object: []byte(object), Writer: writer, Version: version}))
	}
	merge("a", 2, `{"k":2,"l":2}`)
	merge("a", 1, `{"k":1,"m":1}`)
	exactly(t, s, `{"k":2,"l":2,"m":1}`)
	merge("b", 1, `{"k":"b"}`)
	merge("a", 1, `{"k":1}`) // it lost to a's second one, and so to b's
	exactly(t, s, `{"k":"b","l":2,"m":1}`)
	merge("a", 3, `{"k":null}`)
	merge("a", 2, `{"k":2}`)
	exactly(t, s, `{"l":2,"m":1}`)
	merge("", 0, `{"k":"of a server without versions"}`)
	merge("a", 1, `{"k":1}`)
	exactly(t, s, `{"k":"of a server without versions","l":2,"m":1}`)
	for i := range 10_000 { // deleted keys do not add up
		key := strings.Repeat("x", i%500) + "y"
		merge("a", uint64(2*i+10), `{"`+key+`":1}`)
		merge("a", uint64(2*i+11), `{"`+key+`":null}`)
	}
	exactly(t, s, `{"k":"of a server without versions","l":2,"m":1}`)
}
