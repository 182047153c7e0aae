package registry_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/registry"
)

// A login service registers itself, and a client finds it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	etcd, err := embedded.Start(ctx, embedded.WithoutNATS()) // elsewhere etcd runs already
	if err != nil {
		log.Fatal(err)
	}
	defer etcd.Stop(ctx) //nolint:errcheck // the end of the example

	endpoints := etcd.EtcdEndpoints()

	// In the login service, which ends with Shutdown: that deregisters.
	service, err := registry.New(registry.Params{Endpoints: endpoints})
	if err != nil {
		log.Fatal(err)
	}
	if err := service.Init(ctx); err != nil {
		log.Fatal(err)
	}
	defer service.Shutdown(ctx) //nolint:errcheck // the end of the example
	if _, err := service.Register(ctx, registry.Instance{Name: "login", ID: "login-1", Addresses: []string{"10.0.0.7:8080"}}); err != nil {
		log.Fatal(err)
	}

	// In the client, which keeps its registry as long as it runs.
	client, err := registry.New(registry.Params{Endpoints: endpoints})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Init(ctx); err != nil {
		log.Fatal(err)
	}
	defer client.Shutdown(ctx) //nolint:errcheck // the end of the example
	instances, err := client.Get(ctx, "login")
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range instances {
		fmt.Println(i.ID, i.Addresses, i.Available())
	}
	// Output: login-1 [10.0.0.7:8080] true
}

// A client that is told of every change, rather than ask before each call.
func ExampleRegistry_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	etcd, err := embedded.Start(ctx, embedded.WithoutNATS())
	if err != nil {
		log.Fatal(err)
	}
	defer etcd.Stop(ctx) //nolint:errcheck // the end of the example
	r, err := registry.New(registry.Params{Endpoints: etcd.EtcdEndpoints()})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Init(ctx); err != nil {
		log.Fatal(err)
	}
	defer r.Shutdown(ctx) //nolint:errcheck // the end of the example

	watcher, err := r.Watch(ctx, "login")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Stop()
	show := func() {
		change, err := watcher.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if change.Kind == registry.KindList {
			fmt.Println("present:", len(change.Instances))
			return
		}
		fmt.Println(change.Kind, change.Reason, change.Instance.ID)
	}
	show()

	// Elsewhere a login service comes and goes.
	if _, err := r.Register(ctx, registry.Instance{Name: "login", ID: "login-1"}); err != nil {
		log.Fatal(err)
	}
	show()
	if err := r.Deregister(ctx, "login", "login-1"); err != nil {
		log.Fatal(err)
	}
	show()
	// Output:
	// present: 0
	// up joined login-1
	// down left login-1
}
