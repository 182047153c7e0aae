package router

import (
	"cmp"
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// VersionParams are what [ByVersion] compares.
type VersionParams struct {
	// Metadata is the key whose value is a server's version; "" is "version".
	Metadata string
	// Client tells the version of a call's client; nil takes Call.Build. "" means
	// that it is not known.
	Client func(Call) string
}

// ByVersion chooses among the servers whose version is that of the client, by
// the policy next (nil: [Random]). When there is none, or the client's is not
// known, it chooses among the servers that state no version, and when there is
// none of these either, among all.
//
// So several versions of a game can be on one cluster: start the new servers,
// let the new clients out, and stop the old servers when nobody needs them.
func ByVersion(p VersionParams, next Func) Func {
	v := &versions{key: cmp.Or(p.Metadata, "version"), client: p.Client, next: orRandom(next)}
	if v.client == nil {
		v.client = func(c Call) string { return c.Build }
	}
	v.known = newPerList(v.sort)
	return v.choose
}

type versions struct {
	key    string
	client func(Call) string
	next   Func
	known  *perList[map[string][]*cluster.Server] // by version; those without one under ""
}

func (v *versions) sort(list []*cluster.Server) map[string][]*cluster.Server {
	by := make(map[string][]*cluster.Server)
	for _, s := range list {
		version := s.Metadata[v.key]
		by[version] = append(by[version], s)
	}
	if len(by) == 1 {
		by[list[0].Metadata[v.key]] = list
	}
	return by
}

func (v *versions) choose(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	by := v.known.of(servers)
	if same := by[v.client(c)]; len(same) > 0 {
		return v.next(ctx, c, same)
	}
	if unmarked := by[""]; len(unmarked) > 0 {
		return v.next(ctx, c, unmarked)
	}
	return v.next(ctx, c, servers)
}
