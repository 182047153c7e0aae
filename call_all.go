package cereus

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/route"
)

// Result is what one server of CallAll answered.
type Result[Reply any] struct {
	ServerID string
	Reply    *Reply // nil when Err is not
	Err      error
}

// errNotAwaited is what CallAll says of a server that it did not wait for.
var errNotAwaited = errs.New(errs.CodeClosed, "the answer of this server was not waited for: the others decided the call")

// errNoOutcome is of a call whose goroutine code of the application ended.
var errNoOutcome = errs.New(errs.CodeInternal, "a call middleware, or a method of the reply, ended the goroutine of the call (runtime.Goexit)")

// CallAll calls the remote at target, a route, on every server of its type that
// discovery has, in whatever state, this one excepted, at the same time, and
// returns one Result per server, sorted by server id. A server that is not
// reached has a Result with the error. The error of CallAll is that of a route
// without a server type or of a type without servers. With Quorum it is also
// Unavailable when too few servers answered well; the results are returned all
// the same, and those that it did not wait for any more have Closed.
func CallAll[Reply any](ctx context.Context, app *App, target string, arg any, opts ...CallOption) ([]Result[Reply], error) {
	all, err := app.callingAll(target, arg, opts)
	if err != nil {
		return nil, err
	}
	results := make([]Result[Reply], len(all.servers))
	for i, id := range all.servers {
		results[i] = Result[Reply]{ServerID: id, Err: errNotAwaited}
	}
	verdict := all.vote()
	if verdict.lost() {
		return results, verdict.err()
	}
	for r := range each[Reply](ctx, all) {
		i, _ := slices.BinarySearch(all.servers, r.ServerID)
		results[i] = r
		if verdict.count(r.Err) {
			break
		}
	}
	return results, verdict.err()
}

// CallEach is CallAll with the results as they come, in any order. Leaving the
// loop cancels the calls that are under way. It takes no Quorum: count, and
// leave. When nobody can be called there is one Result without a ServerID that
// says why.
func CallEach[Reply any](ctx context.Context, app *App, target string, arg any, opts ...CallOption) iter.Seq[Result[Reply]] {
	return func(yield func(Result[Reply]) bool) {
		all, err := app.callingAll(target, arg, opts)
		if err == nil && all.options.quorum != nil {
			err = errQuorum
		}
		if err != nil {
			yield(Result[Reply]{Err: err})
			return
		}
		each[Reply](ctx, all)(yield)
	}
}

// NotifyAll is Notify for every server that CallAll calls. It returns the errors
// of the servers that did not take it, by server id; the last result is that of
// a call that can be made to nobody.
func (a *App) NotifyAll(ctx context.Context, route string, arg any, opts ...CallOption) (map[string]error, error) {
	all, err := a.callingAll(route, arg, opts)
	if err == nil && all.options.quorum != nil {
		err = errQuorum
	}
	if err != nil {
		return nil, err
	}
	all.oneWay = true
	var failed map[string]error
	for r := range each[struct{}](ctx, all) {
		if r.Err == nil {
			continue
		}
		if failed == nil {
			failed = make(map[string]error)
		}
		failed[r.ServerID] = r.Err
	}
	return failed, nil
}

// callingAll is a call of several servers.
type callingAll struct {
	app     *App
	route   string
	arg     any
	options callOptions
	oneWay  bool
	servers []string // sorted
}

func (a *App) callingAll(target string, arg any, opts []CallOption) (*callingAll, error) {
	o, err := gatherAll(opts)
	if err != nil {
		return nil, err
	}
	parsed, err := route.Parse(target)
	if err != nil {
		return nil, misrouted(target, err)
	}
	if parsed.ServerType == "" {
		return nil, dispatch.ErrNoServerType
	}
	all := &callingAll{app: a, route: target, arg: arg, options: o, servers: a.others(parsed.ServerType)}
	if len(all.servers) == 0 {
		return nil, errs.ErrNoServer.With("type", parsed.ServerType)
	}
	return all, all.encode()
}

// others are the ids of all servers of a type, this one excepted. Those that are
// given no new work are among them: what is for all is not work that another
// server can do, and a server that nobody asked would be missing without a word.
func (a *App) others(serverType string) []string {
	if a.discovery == nil {
		return nil
	}
	var ids []string
	for _, s := range a.discovery.Servers() {
		if s.Type == serverType && s.ID != a.self.ID {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// encode makes the argument's bytes once for all, if no middleware wants to see it.
func (all *callingAll) encode() error {
	if all.app.calls != nil {
		return nil
	}
	payload, err := all.app.dispatcher.EncodeArgument(all.arg)
	all.arg = payload
	return err
}

// each calls the servers at the same time. Nothing of it goes on after the loop.
func each[Reply any](ctx context.Context, all *callingAll) iter.Seq[Result[Reply]] {
	return func(yield func(Result[Reply]) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		var calls sync.WaitGroup
		defer calls.Wait()
		defer cancel(errNotAwaited)
		results := make(chan Result[Reply], len(all.servers))
		for _, id := range all.servers {
			calls.Go(func() {
				r := Result[Reply]{ServerID: id, Err: errNoOutcome}
				defer func() { results <- r }()
				r = callOne[Reply](ctx, all, id)
			})
		}
		for range all.servers {
			if !yield(<-results) {
				return
			}
		}
	}
}

// callOne also survives what the application's own types do when they are decoded.
func callOne[Reply any](ctx context.Context, all *callingAll, id string) (r Result[Reply]) {
	r = Result[Reply]{ServerID: id, Reply: new(Reply)}
	defer func() {
		if r.Err != nil {
			r.Reply = nil
		}
	}()
	defer all.app.recovered("call", &r.Err)
	o := all.options
	o.serverID = id
	c := calling{call: o.outgoing(all.route, all.oneWay), timeout: o.timeout, reply: r.Reply}
	if all.oneWay {
		c.reply = nil
	}
	r.Err = all.app.perform(ctx, c, all.arg)
	return r
}

// vote is how far a quorum is.
type vote struct {
	wanted       int // 0: all are waited for
	servers      int
	good, failed int
}

func (all *callingAll) vote() *vote {
	v := &vote{servers: len(all.servers)}
	if all.options.quorum != nil {
		v.wanted = *all.options.quorum
	}
	return v
}

// count takes one answer and reports whether the rest does not matter any more.
func (v *vote) count(err error) (decided bool) {
	if err == nil {
		v.good++
	} else {
		v.failed++
	}
	return v.wanted > 0 && (v.good >= v.wanted || v.lost())
}

// lost reports whether too few are left.
func (v *vote) lost() bool { return v.servers-v.failed < v.wanted }

func (v *vote) err() error {
	if !v.lost() {
		return nil
	}
	return errs.New(errs.CodeUnavailable, "too few servers can answer for the quorum: see the errors of the results, or ask for fewer").
		With("quorum", strconv.Itoa(v.wanted)).With("servers", strconv.Itoa(v.servers)).With("failed", strconv.Itoa(v.failed))
}
