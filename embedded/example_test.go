package embedded_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/embedded"
)

// A test or a development server needs nothing installed.
func ExampleStart() {
	ctx := context.Background()
	c, err := embedded.Start(ctx, embedded.WithNATSNodes(2))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Stop(ctx) }()
	fmt.Println(len(c.EtcdEndpoints()), "etcd,", len(c.NATSURLs()), "NATS nodes")
	// Output: 1 etcd, 2 NATS nodes
}
