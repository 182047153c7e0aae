package component_test

import (
	"context"
	"testing"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/serializer"
)

// null takes serialization out of the figures.
type null struct{ serializer.Serializer }

func (null) Unmarshal([]byte, any) error { return nil }

type small struct{ N int }

type benched struct{}

func (benched) Typed(_ context.Context, in *small) (*small, error) { return &small{in.N}, nil }
func (benched) Raw(_ context.Context, in []byte) ([]byte, error)   { return in, nil }
func (benched) Note(context.Context, *small)                       {}

type benchedList struct{ benched }

func (b benchedList) Routes(r *component.Routes) {
	component.Handle(r, "Typed", b.Typed)
	component.HandleRaw(r, "Raw", b.Raw)
	component.Notify(r, "Note", b.Note)
}

// BenchmarkCall is Decode and Call without a serializer: what the table costs.
func BenchmarkCall(b *testing.B) {
	for way, c := range map[string]any{"found": benched{}, "listed": benchedList{}} {
		table := component.NewTable()
		if err := table.Register(c, component.WithName("x")); err != nil {
			b.Fatal(err)
		}
		for _, name := range []string{"Typed", "Raw", "Note"} {
			m, _ := table.Handler("x." + name)
			b.Run(way+"/"+name, func(b *testing.B) {
				ctx, body := b.Context(), []byte("body")
				b.ReportAllocs()
				for b.Loop() {
					arg, err := m.Decode(body, null{})
					if err == nil {
						_, err = m.Call(ctx, arg)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	table := component.NewTable()
	if err := table.Register(&Lobby{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Handler("Lobby.Join")
	}
}
