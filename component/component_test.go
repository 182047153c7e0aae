package component_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/serializer"
)

type greeting struct {
	Name string `json:"name"`
}

// Lobby has every shape of handler, a hook and methods that are none.
type Lobby struct{ notified []string }

func (l *Lobby) Join(_ context.Context, req *greeting) (*greeting, error) {
	if req.Name == "" {
		return nil, errs.New("GAME-1", "no name")
	}
	return &greeting{Name: "hello " + req.Name}, nil
}

func (l *Lobby) Echo(_ context.Context, body []byte) ([]byte, error) { return body, nil }
func (l *Lobby) EchoTyped(_ context.Context, body []byte) (*greeting, error) {
	return &greeting{string(body)}, nil
}
func (l *Lobby) Name(_ context.Context, req *greeting) ([]byte, error) { return []byte(req.Name), nil }
func (l *Lobby) Plain(context.Context) ([]byte, error)                 { return []byte("plain"), nil }
func (l *Lobby) Stats(context.Context) (*greeting, error)              { return &greeting{"stats"}, nil }
func (l *Lobby) Nothing(context.Context, *greeting) (*greeting, error) { return nil, nil }
func (l *Lobby) NoBytes(context.Context) ([]byte, error)               { return nil, nil }
func (l *Lobby) Typing(_ context.Context, req *greeting)               { l.notified = append(l.notified, req.Name) }
func (l *Lobby) Raw(_ context.Context, body []byte)                    { l.notified = append(l.notified, string(body)) }
func (l *Lobby) Ping(context.Context)                                  { l.notified = append(l.notified, "ping") }
func (l *Lobby) Init(context.Context) error                            { return nil }
func (l *Lobby) Size(int) int                                          { return 0 }
func (l *Lobby) Close() error                                          { return nil }

func run(t *testing.T, table *component.Table, short, body string) (string, error) {
	t.Helper()
	m, ok := table.Handler(short)
	require.True(t, ok, short)
	arg, err := m.Decode([]byte(body), serializer.JSON())
	require.NoError(t, err)
	reply, err := m.Call(t.Context(), arg)
	if err != nil {
		return "", err
	}
	out, err := m.Encode(reply, serializer.JSON())
	require.NoError(t, err)
	return string(out), nil
}

func TestFoundShapes(t *testing.T) {
	t.Parallel()
	table, lobby := component.NewTable(), &Lobby{}
	require.NoError(t, table.Register(lobby, component.WithName("lobby"), component.WithNameFunc(strings.ToLower)))
	for _, c := range []struct{ short, in, out string }{
		{"lobby.join", `{"name":"ann"}`, `{"name":"hello ann"}`},
		{"lobby.echo", "any \x00", "any \x00"},
		{"lobby.echotyped", "ann", `{"name":"ann"}`},
		{"lobby.name", `{"name":"ann"}`, "ann"},
		{"lobby.plain", "ignored", "plain"},
		{"lobby.stats", "not json", `{"name":"stats"}`},
	} {
		out, err := run(t, table, c.short, c.in)
		require.NoError(t, err, c.short)
		require.Equal(t, c.out, out, c.short)
	}
	for _, short := range []string{"lobby.nothing", "lobby.nobytes"} {
		_, err := run(t, table, short, "{}")
		require.ErrorIs(t, err, errs.ErrNilReply, short)
	}
	for _, c := range []struct{ short, in string }{
		{"lobby.typing", `{"name":"ann"}`}, {"lobby.raw", "raw"}, {"lobby.ping", ""},
	} {
		m, _ := table.Handler(c.short)
		require.Equal(t, component.KindNotify, m.Kind)
		out, err := run(t, table, c.short, c.in)
		require.NoError(t, err)
		require.Empty(t, out)
	}
	require.Equal(t, []string{"ann", "raw", "ping"}, lobby.notified)
	_, err := run(t, table, "lobby.join", "{}")
	require.ErrorIs(t, err, errs.New("GAME-1", "no name"))
	for _, short := range []string{"lobby.init", "lobby.size", "lobby.close", "lobby.Join"} {
		_, ok := table.Handler(short)
		require.False(t, ok, short)
	}
	_, ok := table.Remote("lobby.join")
	require.False(t, ok, "handlers and remotes are separate name spaces")
}

func TestDefaultNames(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.Register(&Lobby{}))
	_, ok := table.Handler("Lobby.Join")
	require.True(t, ok)
}

type bad struct{}

func (bad) Value(context.Context, greeting) (*greeting, error)            { return nil, nil }
func (bad) OnlyError(context.Context, *greeting) error                    { return nil }
func (bad) Many(context.Context, *greeting, *greeting) (*greeting, error) { return nil, nil }
func (bad) Variadic(context.Context, ...*greeting) (*greeting, error)     { return nil, nil }
func (bad) Swapped(context.Context, *greeting) (error, *greeting)         { return nil, nil } //nolint:revive,staticcheck // that is the point
func (bad) Word(context.Context, *greeting) (string, error)               { return "", nil }
func (bad) Double(context.Context, **greeting) (*greeting, error)         { return nil, nil }
func (bad) AfterInit() error                                              { return nil }
func (bad) Shutdown(context.Context)                                      {}
func (bad) Good(context.Context, *greeting) (*greeting, error)            { return nil, nil }

func TestEveryFaultIsReportedAndNothingIsAdded(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	err := table.Register(bad{}, component.WithConcurrent("Nobody"))
	require.Error(t, err)
	for _, text := range []string{
		"method Value: its argument is component_test.greeting; it must be a pointer or []byte",
		"method OnlyError: it must return nothing (notify) or a reply and an error",
		"method Many: it takes 2 arguments after the context",
		"method Variadic: it is variadic",
		"method Swapped: it must return nothing",
		"method Word: its reply is string",
		"method Double: its argument is **component_test.greeting",
		"method AfterInit: it has the name of a hook, whose signature is AfterInit(context.Context) error",
		"method Shutdown: it has the name of a hook, whose signature is Shutdown(context.Context) error",
		`WithConcurrent names "Nobody"; the methods are Good`,
	} {
		require.ErrorContains(t, err, text)
	}
	require.NotContains(t, err.Error(), "method Good")
	require.Empty(t, table.Routes())
	require.Empty(t, table.Components())
}

type byPointer struct{}

func (*byPointer) Join(context.Context, *greeting) (*greeting, error) { return nil, nil }

type idle struct{}

func (idle) Size() int { return 0 }

type hooked struct{ _ int }

func (*hooked) Shutdown(context.Context) error { return nil }

func TestRefusedComponents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value any
		opts  []component.Option
		text  string
	}{
		"nil":            {nil, nil, "it is nil"},
		"nil pointer":    {(*Lobby)(nil), nil, "nil pointer"},
		"value":          {byPointer{}, nil, "register a pointer"},
		"no methods":     {idle{}, nil, "it has no method of the shape"},
		"unnamed":        {&struct{ idle }{}, nil, "its type has no name"},
		"dotted service": {&Lobby{}, []component.Option{component.WithName("a.b")}, `service name "a.b" must be printable`},
		"dotted method": {&Lobby{}, []component.Option{component.WithNameFunc(func(s string) string { return s + "." })},
			`method name "Echo." must be printable`},
		"no name": {&Lobby{}, []component.Option{component.WithNameFunc(func(string) string { return "" })}, "method name is empty"},
		"long":    {&Lobby{}, []component.Option{component.WithName(strings.Repeat("x", 129))}, "has 129 bytes"},
	} {
		table := component.NewTable()
		require.ErrorContains(t, table.Register(c.value, c.opts...), c.text, name)
		require.Empty(t, table.Routes(), name)
	}
}

func TestHooksAloneAreAComponent(t *testing.T) {
	t.Parallel()
	table, c := component.NewTable(), &hooked{}
	require.NoError(t, table.Register(c))
	require.NoError(t, table.RegisterRemote(c))
	require.Equal(t, []any{c}, table.Components(), "known once")
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.Register(&byPointer{}, component.WithName("lobby")))
	require.ErrorContains(t, table.Register(&Lobby{}, component.WithName("lobby")),
		`"lobby.Join" is already registered by *component_test.byPointer`)
	_, ok := table.Handler("lobby.Echo")
	require.False(t, ok, "all or none")
	require.NoError(t, table.RegisterRemote(&Lobby{}, component.WithName("lobby")), "remotes are another name space")
	require.ErrorContains(t, component.NewTable().Register(&byPointerTwice{}, component.WithNameFunc(strings.ToLower)),
		`"byPointerTwice.join" is already registered`)
}

type byPointerTwice struct{ byPointer }

func (*byPointerTwice) JOIN(context.Context, *greeting) (*greeting, error) { return nil, nil }

// room lists its routes; Secret would be found otherwise.
type room struct {
	Lobby
	faulty bool
}

func (r *room) Secret(context.Context, *greeting) (*greeting, error) { return nil, nil }

func (r *room) Routes(routes *component.Routes) {
	component.Handle(routes, "join", r.Join, component.WithConcurrent())
	component.Handle(routes, "nothing", r.Nothing)
	component.Handle(routes, "stats", func(context.Context, *component.None) (*greeting, error) {
		return &greeting{"stats"}, nil
	})
	component.HandleRaw(routes, "echo", r.Echo)
	component.Notify(routes, "typing", r.Typing)
	component.NotifyRaw(routes, "raw", r.Raw)
	component.Remote(routes, "join", r.Join)
	component.Remote(routes, "wrapped", func(_ context.Context, v *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		return wrapperspb.String(v.GetValue() + "!"), nil
	})
	component.RemoteRaw(routes, "echo", r.Echo)
	if r.faulty {
		component.Handle[greeting, greeting](routes, "void", nil)
		component.HandleRaw(routes, "named", r.Echo, component.WithConcurrent("echo"))
		panic("too much")
	}
}

func TestListedRoutes(t *testing.T) {
	t.Parallel()
	table, r := component.NewTable(), &room{}
	require.NoError(t, table.Register(r, component.WithName("room")))
	for _, c := range []struct{ short, in, out string }{
		{"room.join", `{"name":"ann"}`, `{"name":"hello ann"}`},
		{"room.stats", "not json", `{"name":"stats"}`},
		{"room.echo", "any", "any"},
		{"room.typing", `{"name":"ann"}`, ""},
		{"room.raw", "raw", ""},
	} {
		out, err := run(t, table, c.short, c.in)
		require.NoError(t, err, c.short)
		require.Equal(t, c.out, out, c.short)
	}
	_, err := run(t, table, "room.nothing", "{}")
	require.ErrorIs(t, err, errs.ErrNilReply)
	_, err = run(t, table, "room.join", "{}")
	require.ErrorIs(t, err, errs.New("GAME-1", ""))
	require.Equal(t, []string{"ann", "raw"}, r.notified)
	_, ok := table.Handler("room.Secret")
	require.False(t, ok, "only what is listed can be reached")

	join, _ := table.Handler("room.join")
	require.True(t, join.Concurrent)
	remote, ok := table.Remote("room.join")
	require.True(t, ok)
	require.False(t, remote.Concurrent)
}

func TestListingFaults(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.ErrorContains(t, table.Register(&room{faulty: true}), "method Routes panicked: too much")
	require.Empty(t, table.Routes())
	err := table.Register(twoFaults{})
	require.ErrorContains(t, err, `"void": the function is nil`)
	require.ErrorContains(t, err, `"named": WithConcurrent takes no names on a single route`)
}

type twoFaults struct{}

func (twoFaults) Routes(r *component.Routes) {
	component.Handle[greeting, greeting](r, "void", nil)
	component.HandleRaw(r, "named", (&Lobby{}).Echo, component.WithConcurrent("echo"))
}

type remotes struct{}

func (remotes) Wrapped(_ context.Context, v *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return wrapperspb.String(v.GetValue() + "!"), nil
}

func TestRemotesSpeakProtobufWhateverTheSerializer(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.RegisterRemote(remotes{}, component.WithName("found"), component.WithNameFunc(strings.ToLower)))
	require.NoError(t, table.RegisterRemote(&room{}, component.WithName("listed")))
	for _, short := range []string{"found.wrapped", "listed.wrapped"} {
		m, ok := table.Remote(short)
		require.True(t, ok, short)
		arg, err := m.Decode([]byte("\x0a\x02hi"), serializer.JSON())
		require.NoError(t, err)
		reply, err := m.Call(t.Context(), arg)
		require.NoError(t, err)
		out, err := m.Encode(reply, serializer.JSON())
		require.NoError(t, err)
		require.Equal(t, "\x0a\x03hi!", string(out))
		_, err = m.Decode([]byte("\xff"), serializer.JSON())
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	}
	m, _ := table.Remote("listed.join")
	arg, err := m.Decode([]byte(`{"name":"ann"}`), serializer.JSON())
	require.NoError(t, err, "other types go through the serializer")
	require.Equal(t, &greeting{"ann"}, arg)
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	concurrent := func(opts ...component.Option) (names []string) {
		table := component.NewTable()
		require.NoError(t, table.Register(&Lobby{}, append(opts, component.WithNameFunc(strings.ToLower))...))
		for _, info := range table.Routes() {
			if info.Concurrent {
				names = append(names, info.Short)
			}
		}
		return names
	}
	require.Empty(t, concurrent())
	require.Equal(t, []string{"Lobby.echo", "Lobby.join"}, concurrent(component.WithConcurrent("join", "echo")))
	require.Len(t, concurrent(component.WithConcurrent()), 11)
}

// served is a component with handlers and remotes.
type served struct{ opts []component.RouteOption }

func (s served) Routes(r *component.Routes) {
	echo := func(_ context.Context, b []byte) ([]byte, error) { return b, nil }
	component.HandleRaw(r, "ask", echo)
	component.RemoteRaw(r, "one", echo, s.opts...)
	component.RemoteRaw(r, "two", echo)
}

func TestLimit(t *testing.T) {
	t.Parallel()
	limits := func(c any, opts ...component.Option) ([]int, error) {
		table := component.NewTable()
		err := table.Register(c, append(opts, component.WithName("s"))...)
		if err != nil {
			return nil, err
		}
		one, _ := table.Remote("s.one")
		two, _ := table.Remote("s.two")
		return []int{one.Limit, two.Limit}, nil
	}
	for _, c := range []struct {
		opts  []component.Option
		route []component.RouteOption
		want  []int
	}{
		{nil, nil, []int{0, 0}},
		{[]component.Option{component.WithLimit(3)}, nil, []int{3, 3}},
		{[]component.Option{component.WithLimit(3, "two")}, nil, []int{0, 3}},
		{[]component.Option{component.WithLimit(3, "two"), component.WithLimit(4, "one")}, nil, []int{4, 3}},
		{nil, []component.RouteOption{component.WithLimit(2)}, []int{2, 0}},
	} {
		got, err := limits(served{c.route}, c.opts...)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for text, c := range map[string]struct {
		component any
		opts      []component.Option
	}{
		`"one": WithLimit is given 0; it takes at least 1`:        {served{}, []component.Option{component.WithLimit(0, "one")}},
		`"ask": WithLimit is for remotes, and this is a handler`:  {served{}, []component.Option{component.WithLimit(1, "ask")}},
		`WithLimit names "nobody"; the methods are ask, one, two`: {served{}, []component.Option{component.WithLimit(1, "nobody")}},
		`WithLimit is for remotes, and the component has none`:    {&Lobby{}, []component.Option{component.WithLimit(1)}},
		`"one": WithLimit takes no names on a single route`:       {served{[]component.RouteOption{component.WithLimit(1, "one")}}, nil},
		`"one": WithLimit is given -1; it takes at least 1`:       {served{[]component.RouteOption{component.WithLimit(-1)}}, nil},
	} {
		_, err := limits(c.component, c.opts...)
		require.ErrorContains(t, err, text)
	}
}

type empties struct{}

func (empties) Echo(_ context.Context, body []byte) ([]byte, error) { return body, nil }

func TestAnEmptyBodyIsNotNil(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.Register(swift{}, component.WithName("listed")))
	require.NoError(t, table.Register(empties{}, component.WithName("found")))
	one, _ := table.Handler("listed.one")
	far, _ := table.Remote("listed.far")
	echo, _ := table.Handler("found.Echo")
	for _, m := range []*component.Method{one, far, echo} {
		for _, body := range [][]byte{nil, {}} {
			arg, err := m.Decode(body, serializer.JSON())
			require.NoError(t, err)
			reply, err := m.Call(t.Context(), arg)
			require.NoError(t, err)
			require.Equal(t, []byte{}, reply)
			reply, err = m.CallRaw(t.Context(), body)
			require.NoError(t, err)
			require.Equal(t, []byte{}, reply)
		}
	}
}

// swift is a component with two handlers and a remote.
type swift struct{ opts []component.RouteOption }

func (s swift) Routes(r *component.Routes) {
	echo := func(_ context.Context, b []byte) ([]byte, error) { return b, nil }
	component.HandleRaw(r, "one", echo, s.opts...)
	component.HandleRaw(r, "two", echo)
	component.RemoteRaw(r, "far", echo)
}

// afar is a component with a remote only.
type afar struct{ opts []component.RouteOption }

func (a afar) Routes(r *component.Routes) {
	component.RemoteRaw(r, "far", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, a.opts...)
}

func TestRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts  []component.Option
		route []component.RouteOption
		want  []int
	}{
		{nil, nil, []int{0, 0}},
		{[]component.Option{component.WithRate(3, time.Second)}, nil, []int{3, 3}},
		{[]component.Option{component.WithRate(3, time.Second, "two")}, nil, []int{0, 3}},
		{[]component.Option{component.WithRate(3, time.Second), component.WithRate(0, 0, "one")}, nil, []int{0, 3}},
		{nil, []component.RouteOption{component.WithRate(2, time.Second)}, []int{2, 0}},
	} {
		table := component.NewTable()
		require.NoError(t, table.Register(swift{c.route}, append(c.opts, component.WithName("s"))...))
		one, _ := table.Handler("s.one")
		two, _ := table.Handler("s.two")
		far, _ := table.Remote("s.far")
		require.Equal(t, c.want, []int{one.Rate.N, two.Rate.N})
		require.Zero(t, far.Rate)
	}
	for text, c := range map[string]struct {
		component any
		opts      []component.Option
	}{
		`"one": WithRate is given -1 per 1s; neither may be negative`: {swift{}, []component.Option{component.WithRate(-1, time.Second, "one")}},
		`"far": WithRate is for handlers, and this is a remote`:       {swift{}, []component.Option{component.WithRate(1, time.Second, "far")}},
		`WithRate names "nobody"; the methods are one, two, far`:      {swift{}, []component.Option{component.WithRate(1, time.Second, "nobody")}},
		`WithRate is for handlers, and the component has none`:        {afar{}, []component.Option{component.WithRate(1, time.Second)}},
		`"far": WithRate is for handlers`:                             {afar{[]component.RouteOption{component.WithRate(1, time.Second)}}, nil},
		`"one": WithRate takes no names on a single route`:            {swift{[]component.RouteOption{component.WithRate(1, time.Second, "one")}}, nil},
	} {
		require.ErrorContains(t, component.NewTable().Register(c.component, c.opts...), text)
	}
}

func TestRoutesListing(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.Register(&room{}, component.WithName("room")))
	routes := table.Routes()
	require.Len(t, routes, 9)
	require.Equal(t, component.Info{
		Short: "room.join", Kind: component.KindRequest, Concurrent: true,
		Argument: "*component_test.greeting", Reply: "*component_test.greeting", Component: "*component_test.room",
	}, routes[1])
	require.Equal(t, component.Info{
		Short: "room.stats", Kind: component.KindRequest,
		Reply: "*component_test.greeting", Component: "*component_test.room",
	}, routes[4])
	require.Equal(t, "room.echo", routes[6].Short)
	require.True(t, routes[6].Remote)
	require.Equal(t, "request", component.KindRequest.String())
	require.Equal(t, "notify", component.KindNotify.String())
}

func TestArgumentsOfTheWrongType(t *testing.T) {
	t.Parallel()
	found, explicit := component.NewTable(), component.NewTable()
	require.NoError(t, found.Register(&Lobby{}, component.WithName("x"), component.WithNameFunc(strings.ToLower)))
	require.NoError(t, explicit.Register(&room{}, component.WithName("x")))
	for _, table := range []*component.Table{found, explicit} {
		for _, short := range []string{"x.join", "x.echo", "x.typing", "x.raw"} {
			m, ok := table.Handler(short)
			require.True(t, ok)
			_, err := m.Call(t.Context(), 7)
			require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
			require.ErrorContains(t, err, short+" takes ")
			require.ErrorContains(t, err, "but a pipeline passed int")
		}
		m, _ := table.Handler("x.join")
		_, err := m.Call(t.Context(), nil)
		require.ErrorContains(t, err, "<nil>")
		m, _ = table.Handler("x.echo")
		reply, err := m.Call(t.Context(), []byte{})
		require.NoError(t, err, "empty is not nil")
		require.Equal(t, []byte{}, reply)
	}
}

// broken is a type whose own code panics.
type broken struct{}

func (*broken) UnmarshalJSON([]byte) error   { panic("in") }
func (*broken) MarshalJSON() ([]byte, error) { panic("out") }

type breaker struct{}

func (breaker) Do(context.Context, *broken) (*broken, error) { return &broken{}, nil }

// Who calls the method recovers, counts and hides panics.
func TestPanicsInCodecsPassThrough(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	require.NoError(t, table.Register(breaker{}))
	m, _ := table.Handler("breaker.Do")
	require.PanicsWithValue(t, "in", func() { _, _ = m.Decode([]byte("{}"), serializer.JSON()) })
	require.PanicsWithValue(t, "out", func() { _, _ = m.Encode(&broken{}, serializer.JSON()) })
	_, err := m.Encode(make(chan int), serializer.JSON())
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	cause := errors.New("mine")
	table := component.NewTable()
	require.NoError(t, table.Register(failing{cause}))
	m, _ := table.Handler("failing.Do")
	_, err := m.Call(t.Context(), &greeting{})
	require.ErrorIs(t, err, cause)
}

type failing struct{ err error }

func (f failing) Do(context.Context, *greeting) (*greeting, error) { return &greeting{}, f.err }

func TestLookupsDuringRegistration(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				table.Handler("lobby.Join")
				table.Remote("lobby.Join")
			}
		})
	}
	for name := range strings.SplitSeq("abcdefghij", "") {
		wg.Go(func() {
			if err := table.Register(&Lobby{}, component.WithName(name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, table.Components(), 10)
	require.Len(t, table.Routes(), 110)
}

// odd is a value that cannot be compared, although its type can.
type odd struct{ inside any }

func (odd) Echo(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func TestComponentsThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	table := component.NewTable()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, table.Register(odd{inside: []int{1}}, component.WithName(name)))
	}
	require.Len(t, table.Components(), 2)
}
