package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/embedded"
)

// inExample is a registered server on an etcd of the example's own. An app has
// one already: App.Discovery.
func inExample(ctx context.Context, p cluster.EtcdParams) (d *cluster.EtcdDiscovery, end func()) {
	etcd, err := embedded.Start(ctx, embedded.WithoutNATS())
	fatal(err)
	p.Endpoints = etcd.EtcdEndpoints()
	d, err = cluster.NewEtcdDiscovery(p)
	fatal(err)
	fatal(d.Init(ctx))
	fatal(d.Register(ctx))
	fatal(d.SyncServers(ctx)) // so that it sees itself
	return d, func() {
		fatal(d.Shutdown(ctx))
		fatal(etcd.Stop(ctx))
	}
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// roomServer is what the examples register.
func roomServer() *cluster.Server {
	return &cluster.Server{ID: "room-1", Type: "room", Metadata: map[string]string{}}
}

// diary is a listener that tells a crash from a farewell.
type diary struct{ lines chan string }

func (d diary) AddServer(e cluster.Event) {
	d.lines <- fmt.Sprintf("%s is there: %s", e.Server.ID, e.Reason)
}

func (d diary) UpdateServer(e cluster.Event) {
	d.lines <- fmt.Sprintf("%s was %s and is %s", e.Server.ID, e.Before.State, e.Server.State)
}

func (d diary) RemoveServer(e cluster.Event) {
	switch e.Reason {
	case cluster.ReasonLeft:
		d.lines <- e.Server.ID + " said goodbye"
	default: // cluster.ReasonCrashed, cluster.ReasonReplaced
		d.lines <- e.Server.ID + " is gone without a word"
	}
}

func ExampleListener() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	heard := diary{lines: make(chan string)}
	d.AddListener(heard)
	fmt.Println(<-heard.lines)
	d.Pause()
	fmt.Println(<-heard.lines)
	fatal(d.Deregister(ctx))
	fmt.Println(<-heard.lines)
	// Output:
	// room-1 is there: present
	// room-1 was up and is paused
	// room-1 said goodbye
}

// A snapshot and what comes after it: no gap, no repetition.
func ExampleEtcdDiscovery_Follow() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	now := d.Snapshot()
	fmt.Println("present:", len(now.Servers()))
	d.Pause()
	for e, err := range d.Follow(ctx, now.Seq()) {
		if errors.Is(err, cluster.ErrHistoryGone) {
			break // take a new snapshot, and follow from there
		}
		fatal(err)
		if e.Kind == cluster.EventUpdate {
			fmt.Println(e.Kind, e.Reason, e.Server.ID, e.Server.State)
			break
		}
	}
	// Output:
	// present: 1
	// update changed room-1 paused
}

// A program that keeps what it learnt, with the revision of it, and asks later
// for what changed since.
func ExampleEtcdDiscovery_Changes() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	weight := 200
	saved := d.Snapshot().Revision()
	fatal(d.Edit(ctx, cluster.Edit{Weight: &weight}))
	for e, err := range d.Changes(ctx, saved) {
		fatal(err)
		if e.Kind == cluster.EventUpdate {
			fmt.Println(e.Server.ID, "weighs", e.Server.Weight, e.Revision > saved)
			break
		}
	}
	// Output: room-1 weighs 200 true
}

// Two operators change different facts, and neither undoes the other. Who must
// not overwrite what he has not seen asks for a revision.
func ExampleEtcdDiscovery_EditServer() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	weight, desert := 50, "desert"
	seen, err := d.EditServer(ctx, "room-1", cluster.Edit{Weight: &weight})
	fatal(err)
	now, err := d.EditServer(ctx, "room-1", cluster.Edit{Metadata: map[string]*string{"map": &desert}})
	fatal(err)
	fmt.Println(now.Weight, now.Metadata["map"])

	_, err = d.EditServer(ctx, "room-1", cluster.Edit{State: cluster.StateDraining, IfRevision: seen.Revision})
	fmt.Println(errors.Is(err, cluster.ErrRevision))
	// Output:
	// 50 desert
	// true
}

// A season ends once, whichever server of the type does it.
func ExampleEtcdDiscovery_RunAsLeader() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	endSeason := func(ctx context.Context, token int64) error {
		// Everything that is written carries the token, and the store refuses one
		// that is lower than the highest it has seen.
		fmt.Println("the season ends, by a leader with a token:", token > 0)
		return ctx.Err()
	}
	fatal(d.RunAsLeader(ctx, "room", endSeason))
	leader, _ := d.Leader("room")
	fmt.Println(leader.ID, d.IsLeader(), leader.ByHand)
	// Output:
	// the season ends, by a leader with a token: true
	// room-1 true false
}

// A server that cannot reach its database is of no use, and is not in the list.
func ExampleHealth() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	database := errors.New("the database does not answer")
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer(), Health: cluster.Health{Checks: []cluster.HealthCheck{
		{Name: "database", Check: func(context.Context) error { return database }},
	}}})
	defer end()

	fmt.Println(len(d.Servers()), d.Unhealthy())
	// Output: 0 database: the database does not answer
}

// Snapshots answer without a lock: a router may ask for every call.
func ExampleSnapshot() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, end := inExample(ctx, cluster.EtcdParams{Self: roomServer()})
	defer end()

	s := d.Snapshot()
	self, ok := s.Server("room-1")
	fmt.Println(ok, self.State, self.Epoch > 0 && self.Epoch <= s.Revision())
	fmt.Println(s.Types(), len(s.ServersByType("room")), slices.Equal(s.Servers(), d.Servers()))
	// Output:
	// true up true
	// [room] 1 true
}
