package cereus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/router"
)

// house is eight apps of one cluster: three frontends, and five backends of two types.
type house struct {
	*world
	fronts  []*cereus.App
	rooms   []*cereus.App
	matches []*cereus.App
	tables  map[string]*table // by server id
	memory  *group.MemoryStore
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{world: newWorld(t), tables: make(map[string]*table), memory: group.NewMemoryStore(group.MemoryParams{})}
	for i := range 3 {
		h.rooms = append(h.rooms, h.room(fmt.Sprint("room-", i)))
	}
	for i := range 2 {
		h.matches = append(h.matches, h.start(server{kind: "match", id: fmt.Sprint("match-", i), game: h.remotes}))
	}
	for i := range 3 {
		h.fronts = append(h.fronts, h.start(server{kind: "connector", id: fmt.Sprint("front-", i), front: true, game: h.remotes}))
	}
	for _, app := range h.all() {
		for serverType, n := range map[string]int{"connector": 3, "room": 3, "match": 2} {
			sees(t, app, serverType, n)
		}
	}
	return h
}

func (h *house) all() []*cereus.App { return slices.Concat(h.fronts, h.rooms, h.matches) }

// room is a backend with two halls: one keeps its groups in etcd, one in memory.
func (h *house) room(id string) *cereus.App {
	shared := group.New(group.NewEtcdStore(group.EtcdParams{Client: h.etcd(), Prefix: h.prefix}))
	return h.start(server{kind: "room", id: id, game: func(app *cereus.App) {
		h.remotes(app)
		require.NoError(h.t, app.Register(&hall{app: app, groups: shared}, component.WithName("hall")))
		require.NoError(h.t, app.Register(&hall{app: app, groups: group.New(h.memory)}, component.WithName("cellar")))
	}})
}

func (h *house) remotes(app *cereus.App) {
	table := &table{app: app}
	h.tables[app.Server().ID] = table
	require.NoError(h.t, app.RegisterRemote(table, component.WithName("table")))
}

func TestEightApps(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, step := range map[string]func(*testing.T, *house){
		"forwards":            forwards,
		"calls":               calls,
		"context":             contextTravels,
		"notify":              notifies,
		"call all":            callsAll,
		"pushes":              pushes,
		"kicks":               kicks,
		"session data":        sessionData,
		"groups in etcd":      func(t *testing.T, h *house) { broadcasts(t, h, "hall") },
		"groups in memory":    func(t *testing.T, h *house) { broadcasts(t, h, "cellar") },
		"one login at a time": uniqueLogin,
	} {
		t.Run(name, func(t *testing.T) { step(t, h) })
	}
	t.Run("leave and join", func(t *testing.T) { leaveAndJoin(t, h) })
}

// forwards: requests of all frontends' clients reach all rooms, and their errors come back whole.
func forwards(t *testing.T, h *house) {
	served := make(map[string]bool)
	for i, front := range h.fronts {
		p := dial(t, front)
		until(t, "every room served", func() bool {
			parts := strings.Split(p.mustAsk("room.hall.whoami", ""), "/")
			require.Equal(t, []string{fmt.Sprint("front-", i), ""}, parts[1:])
			served[parts[0]] = true
			return len(served) == len(h.rooms)
		})
		var reply Greeting
		require.NoError(t, p.Request(context.Background(), "room.hall.greet", &Greeting{Name: "ann"}, &reply))
		require.Equal(t, "hello ann", reply.Name)
		err := p.Request(context.Background(), "room.hall.greet", &Greeting{}, nil)
		var coded *errs.Error
		require.ErrorAs(t, err, &coded)
		require.Equal(t, "GAME-1: nobody to greet: map[field:name]", fmt.Sprintf("%s: %s: %v", coded.Code, coded.Message, coded.Metadata))
		for route, code := range map[string]errs.Code{
			"room.hall.nothing": errs.CodeNotFound, "room.table.who": errs.CodeNotFound,
			"nowhere.hall.greet": errs.CodeUnavailable, "hall.greet": errs.CodeNotFound, "room..greet": errs.CodeBadRequest,
		} {
			_, err := p.ask(route, "{}")
			require.Equal(t, code, errs.CodeOf(err), "%s: %v", route, err)
		}
	}
}

// calls: to a type, to an id, typed and not, with the errors of the callee.
func calls(t *testing.T, h *house) {
	ctx := context.Background()
	for _, app := range h.all() {
		var reply Greeting
		require.NoError(t, app.RPC(ctx, "match.table.who", &reply, &Greeting{Name: "x"}))
		require.True(t, strings.HasPrefix(reply.From, "match-"), reply.From)
		for _, to := range h.all() {
			if to == app { // without cluster.rpc.server.loopbackenabled
				require.ErrorContains(t, app.RPC(ctx, to.Server().Type+".table.who", nil, nil, cereus.To(to.Server().ID)), "may be processed locally")
				continue
			}
			got, err := cereus.Call[Greeting](ctx, app, to.Server().Type+".table.who", &Greeting{Name: "y"}, cereus.To(to.Server().ID))
			require.NoError(t, err)
			require.Equal(t, Greeting{Name: "y", From: to.Server().ID}, *got)
		}
		err := app.RPC(ctx, "match.table.refuse", nil, nil)
		require.ErrorIs(t, err, errs.New("GAME-2", "the table is full"))
		require.Equal(t, "4", errs.From(err).Metadata["seats"])
		require.ErrorIs(t, app.RPC(ctx, "match.table.nothing", nil, nil), errs.ErrRouteNotFound)
		require.ErrorIs(t, app.RPC(ctx, "nowhere.table.who", nil, nil), errs.ErrNoServer)
		require.ErrorIs(t, app.RPC(ctx, "match.table.who", nil, nil, cereus.To("nobody")), errs.ErrServerNotFound)
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(app.RPC(ctx, "match.table", nil, make(chan int))))
	}
	to := h.rooms[0]
	var raw []byte
	require.NoError(t, h.fronts[0].RPC(ctx, "room.table.who", &raw, []byte(`{"name":"raw"}`), cereus.To(to.Server().ID)))
	require.JSONEq(t, `{"name":"raw","from":"room-0"}`, string(raw))
}

// contextTravels: values over two hops, deadlines, and the end of waiting.
func contextTravels(t *testing.T, h *house) {
	ctx := context.Background()
	p := dial(t, h.fronts[0])
	got := p.mustAsk("room.hall.relay", "body")
	require.Regexp(t, `^room-\d/body$`, got)

	var left []byte
	require.NoError(t, h.fronts[0].RPC(ctx, "match.table.left", &left, nil, cereus.WithTimeout(10*time.Second)))
	remaining, err := time.ParseDuration(string(left))
	require.NoError(t, err)
	require.Greater(t, remaining, time.Second)
	require.LessOrEqual(t, remaining, 10*time.Second)

	bounded, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	err = h.fronts[0].RPC(bounded, "match.table.hang", nil, nil, cereus.To("match-0"))
	require.Equal(t, errs.CodeTimeout, errs.CodeOf(err), "%v", err)
	until(t, "the callee stopped, too", func() bool {
		return slices.Contains(h.tables["match-0"].noted(), "hang over")
	})
	_, err = cereus.WithValue(ctx, "pitaya-timeout", 1)
	if err != nil {
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	}
}

func notifies(t *testing.T, h *house) {
	for i, app := range slices.Concat(h.fronts, h.rooms) {
		text := fmt.Sprint("note ", i)
		require.NoError(t, app.Notify(context.Background(), "match.table.note", []byte(text), cereus.To("match-1")))
		until(t, text, func() bool { return slices.Contains(h.tables["match-1"].noted(), text) })
	}
}

// TestNotifyWaitsForNoResult: only until the call was taken.
func TestNotifyWaitsForNoResult(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	b := &table{}
	w.start(server{kind: "match", game: func(app *cereus.App) {
		require.NoError(t, app.RegisterRemote(b, component.WithName("table")))
	}})
	caller := w.start(server{kind: "room"})
	sees(t, caller, "match", 1)
	require.NoError(t, caller.Notify(ctx, "match.table.refuse", nil))
	require.NoError(t, caller.Notify(ctx, "match.table.hang", nil, cereus.WithTimeout(time.Second)))
	until(t, "the remote ran to the end of its time", func() bool { return slices.Contains(b.noted(), "hang over") })
	require.ErrorIs(t, caller.Notify(ctx, "match.table.nothing", nil), errs.ErrRouteNotFound)
	require.ErrorIs(t, caller.Notify(ctx, "nowhere.table.note", nil), errs.ErrNoServer)
}

func callsAll(t *testing.T, h *house) {
	ctx := context.Background()
	for serverType, want := range map[string][]string{
		"room": {"room-0", "room-1", "room-2"}, "match": {"match-0", "match-1"}, "connector": {"front-1", "front-2"},
	} {
		results, err := cereus.CallAll[Greeting](ctx, h.fronts[0], serverType+".table.who", &Greeting{Name: "all"})
		require.NoError(t, err)
		var ids []string
		for _, r := range results {
			require.NoError(t, r.Err)
			require.Equal(t, Greeting{Name: "all", From: r.ServerID}, *r.Reply)
			ids = append(ids, r.ServerID)
		}
		require.Equal(t, want, ids)
	}
	_, err := cereus.CallAll[Greeting](ctx, h.fronts[0], "nowhere.table.who", nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
	results, err := cereus.CallAll[Greeting](ctx, h.fronts[0], "room.table.refuse", nil)
	require.NoError(t, err)
	for _, r := range results {
		require.Nil(t, r.Reply)
		require.Equal(t, errs.Code("GAME-2"), errs.CodeOf(r.Err))
	}
}

// login dials a frontend and binds the player from a backend.
func (h *house) login(t *testing.T, front int, uid string) *player {
	t.Helper()
	p := dial(t, h.fronts[front])
	p.mustAsk("room.hall.login", uid)
	return p
}

func pushes(t *testing.T, h *house) {
	ctx := context.Background()
	p0, p1 := h.login(t, 0, "push-0"), h.login(t, 1, "push-1")
	require.Equal(t, "hi", p0.mustAsk("room.hall.echo", "hi"))
	p0.receives("onEcho:hi")
	for i, app := range h.all() { // with the type named, and on frontends without
		push := cereus.Push{FrontendType: "connector", Route: "onNews", Payload: map[string]int{"n": i}}
		failed, err := app.Push(ctx, push, "push-0", "push-1")
		require.NoError(t, err)
		require.Empty(t, failed)
		want := fmt.Sprintf(`onNews:{"n":%d}`, i)
		p0.receives(want)
		p1.receives(want)
	}
	_, err := h.fronts[2].Push(ctx, cereus.Push{Route: "own", Payload: []byte("type")}, "push-1")
	require.NoError(t, err)
	p1.receives("own:type")
	require.NotContains(t, p0.got(), "own:type")
	failed, err := h.rooms[0].Push(ctx, cereus.Push{Route: "x"}, "push-0")
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err), "the fault of the server's programmer, not of a player")
	require.ErrorContains(t, err, "set Push.FrontendType")
	require.Equal(t, []string{"push-0"}, failed)
	failed, err = h.rooms[0].Push(ctx, cereus.Push{FrontendType: "connector", Route: "x", Payload: make(chan int)}, "push-0")
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	require.Equal(t, []string{"push-0"}, failed)
	counts(t, h.fronts[0], 1, "pitaya_acceptor_connected_clients")
}

func kicks(t *testing.T, h *house) {
	ctx := context.Background()
	p := h.login(t, 0, "kick-session")
	_, _ = p.ask("room.hall.kickme", "") // the answer may come after the end
	require.Equal(t, client.ReasonKicked, p.ends().Reason)

	far, near := h.login(t, 1, "kick-far"), h.login(t, 0, "kick-near")
	failed, err := h.matches[0].Kick(ctx, "connector", "out", "kick-far")
	require.NoError(t, err)
	require.Empty(t, failed)
	require.Equal(t, client.ReasonKicked, far.ends().Reason)
	_, err = h.fronts[0].Kick(ctx, "", "closing time", "kick-near")
	require.NoError(t, err)
	end := near.ends()
	require.Equal(t, client.ReasonKicked, end.Reason)
	require.Equal(t, "closing time", end.KickReason)
	counts(t, h.fronts[0], 2, "cereus_connections_closed_total", "reason", "kicked")
	_, err = h.matches[0].Kick(ctx, "", "no type", "kick-near")
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
}

// sessionData: what one backend saved, the next one reads.
func sessionData(t *testing.T, h *house) {
	p := dial(t, h.fronts[2])
	for i := range 20 {
		p.mustAsk("room.hall.remember", fmt.Sprintf("k%d=%d", i, i))
		require.Contains(t, p.mustAsk("room.hall.recall", ""), fmt.Sprintf(`"k%d":"%d"`, i, i))
	}
	data := p.mustAsk("room.hall.recall", "")
	for i := range 20 {
		require.Contains(t, data, fmt.Sprintf(`"k%d":"%d"`, i, i))
	}
}

func broadcasts(t *testing.T, h *house, service string) {
	ctx := context.Background()
	name := "blue " + service
	groups := group.New(h.memory)
	if service == "hall" {
		groups = group.New(group.NewEtcdStore(group.EtcdParams{Client: h.etcd(), Prefix: h.prefix}))
	}
	require.NoError(t, groups.Create(ctx, name))
	var members []*player
	for i := range 6 {
		p := h.login(t, i%3, fmt.Sprint(service, "-member-", i))
		p.mustAsk("room."+service+".enter", name)
		members = append(members, p)
	}
	members[0].mustAsk("room."+service+".say", name+":first")
	for _, p := range members {
		p.receives("onSay:first")
	}
	members[5].mustAsk("room."+service+".leave", name)
	members[0].mustAsk("room."+service+".say", name+":second")
	for _, p := range members[:5] {
		p.receives("onSay:second")
		require.Equal(t, []string{"onSay:first", "onSay:second"}, p.got())
	}
	require.Equal(t, []string{"onSay:first"}, members[5].got())
	_, err := members[0].ask("room."+service+".enter", name)
	require.ErrorIs(t, err, group.ErrMemberExists)
	n, err := groups.Count(ctx, name)
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

// uniqueLogin: the newer login stays, on one frontend and across two.
func uniqueLogin(t *testing.T, h *house) {
	first := h.login(t, 0, "solo")
	second := h.login(t, 1, "solo")
	require.Equal(t, client.ReasonKicked, first.ends().Reason)
	third := h.login(t, 1, "solo")
	require.Equal(t, client.ReasonKicked, second.ends().Reason)
	_, err := h.rooms[0].Push(context.Background(), cereus.Push{FrontendType: "connector", Route: "to", Payload: []byte("solo")}, "solo")
	require.NoError(t, err)
	third.receives("to:solo")
	_, err = third.ask("room.hall.login", "other")
	require.ErrorIs(t, err, errs.ErrAlreadyBound)
	_, err = dial(t, h.fronts[0]).ask("room.hall.login", "")
	require.ErrorIs(t, err, errs.ErrIllegalUID)
}

// leaveAndJoin: requests go on without a failure while backends come and go.
func leaveAndJoin(t *testing.T, h *house) {
	p := dial(t, h.fronts[0])
	stop, failures := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failures)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := p.ask("room.hall.whoami", ""); err != nil {
				failures <- err
				return
			}
		}
	}()
	for i, app := range h.rooms {
		end(t, app)
		for _, other := range slices.Concat(h.fronts, h.matches) {
			sees(t, other, "room", 2)
		}
		h.rooms[i] = h.room(app.Server().ID)
		for _, other := range slices.Concat(h.fronts, h.matches) {
			sees(t, other, "room", 3)
		}
	}
	close(stop)
	require.NoError(t, <-failures)
	for _, app := range h.all() {
		end(t, app)
	}
	require.Zero(t, h.fronts[0].Sessions())
}

// TestRoutersChoose: one for players' messages, one for calls.
func TestRoutersChoose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}
	for i := range 3 {
		w.start(server{kind: "room", id: fmt.Sprint("room-", i), game: game})
	}
	front := w.start(server{kind: "connector", front: true, opts: []cereus.Option{
		cereus.WithRouter("room", router.ToHandler, pick("room-1")),
		cereus.WithRouter("room", router.ToRemote, pick("room-2")),
	}})
	sees(t, front, "room", 3)
	p := dial(t, front)
	for range 20 {
		require.True(t, strings.HasPrefix(p.mustAsk("room.hall.whoami", ""), "room-1/"))
		got, err := cereus.Call[Greeting](context.Background(), front, "room.table.who", &Greeting{})
		require.NoError(t, err)
		require.Equal(t, "room-2", got.From)
	}
}
