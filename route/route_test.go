package route_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/route"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want route.Route
		err  error
	}{
		{"connector.room.join", route.Route{ServerType: "connector", Service: "room", Method: "join"}, nil},
		{"room.join", route.Route{Service: "room", Method: "join"}, nil},
		{"Room.Join", route.Route{Service: "Room", Method: "Join"}, nil},
		{"a.é", route.Route{Service: "a", Method: "é"}, nil},
		{" a. b ", route.Route{Service: " a", Method: " b "}, nil},
		{"a." + strings.Repeat("m", 253), route.Route{Service: "a", Method: strings.Repeat("m", 253)}, nil},
		{"", route.Route{}, errs.ErrEmptyRoute},
		{" ", route.Route{}, errs.ErrEmptyRoute},
		{".", route.Route{}, errs.ErrEmptyRoute},
		{"a..c", route.Route{}, errs.ErrEmptyRoute},
		{"a.b. ", route.Route{}, errs.ErrEmptyRoute},
		{"a.b.c.", route.Route{}, errs.ErrEmptyRoute},
		{".a.b", route.Route{}, errs.ErrEmptyRoute},
		{"onlyone", route.Route{}, errs.ErrInvalidRoute},
		{"a.b.c.d", route.Route{}, errs.ErrInvalidRoute},
		{"a.b.c.d.e", route.Route{}, errs.ErrInvalidRoute},
		{"a." + strings.Repeat("m", 254), route.Route{}, errs.ErrInvalidRoute},
		{"a.\x00b", route.Route{}, errs.ErrInvalidRoute},
		{"a.b\n", route.Route{}, errs.ErrInvalidRoute},
		{"a.\x7f", route.Route{}, errs.ErrInvalidRoute},
		{"a.\xff", route.Route{}, errs.ErrInvalidRoute},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := route.Parse(tt.in)
			require.Equal(t, tt.err, err)
			require.Equal(t, tt.want, got)
			if err == nil {
				require.Equal(t, tt.in, got.String())
			}
		})
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	r := route.Route{ServerType: "connector", Service: "room", Method: "join"}
	require.Equal(t, "room.join", r.Short())
	require.Equal(t, "connector.room.join", r.String())
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, in := range []string{"connector.room.join", "room.join", "a..b", "a.b.c.d"} {
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = route.Parse(in) }), in)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"connector.room.join", "room.join", "a..c", "onlyone", "", "a.b.c.d", "sys.kick", "a.\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := route.Parse(s)
		if err != nil {
			require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
			return
		}
		require.Equal(t, s, r.String())
		again, err := route.Parse(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = route.Parse("connector.room.join")
	}
}
