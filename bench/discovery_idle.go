package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	idleFor = 10 * time.Second
	// Names of etcd's own metrics.
	proposals = "etcd_server_proposals_committed_total"
	renewals  = "etcd_debugging_lease_renewed_total"
)

// idleServers is what etcd writes for servers that do nothing.
func (b *bench) idleServers(r registry) {
	writes := b.row(fmt.Sprintf("Raft writes for %d idle servers", manyWatchers), fmt.Sprintf("in %v", idleFor))
	renewed := b.row(fmt.Sprintf("lease renewals of %d idle servers", manyWatchers), fmt.Sprintf("in %v", idleFor))
	writes.AtMost = 0.01 // none
	b.steps = append(b.steps, func(ctx context.Context) error {
		if b.run > 0 {
			return nil // once is enough of so long a time
		}
		before, after, err := b.aroundIdleServers(ctx, r)
		writes.Runs = append(writes.Runs, after[proposals]-before[proposals])
		renewed.Runs = append(renewed.Runs, after[renewals]-before[renewals])
		return err
	})
}

// aroundIdleServers is etcd's metrics before and after some time of servers that do nothing.
func (b *bench) aroundIdleServers(ctx context.Context, r registry) (before, after map[string]float64, err error) {
	idlers, err := startChild(roleEtcd)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, idlers.stop()) }()
	if err := idlers.ask(ctx, "start", r.endpoint, nil); err != nil {
		return nil, nil, err
	}
	task := etcdTask{By: byCereus, Prefix: "idle/", ID: "idle", Count: manyWatchers}
	if err := idlers.ask(ctx, "join", task, nil); err != nil {
		return nil, nil, err
	}
	if before, err = etcdMetrics(ctx, r.endpoint); err != nil {
		return nil, nil, err
	}
	pause(ctx, idleFor)
	after, err = etcdMetrics(ctx, r.endpoint)
	return before, after, err
}

// etcdMetrics are etcd's own figures that have no labels.
func etcdMetrics(ctx context.Context, endpoint string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+endpoint+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	figures := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var name string
		var value float64
		if n, _ := fmt.Sscanf(lines.Text(), "%s %g", &name, &value); n == 2 && !strings.HasPrefix(name, "#") {
			figures[name] = value
		}
	}
	if _, there := figures[proposals]; !there {
		return nil, fmt.Errorf("etcd at %s does not tell %s", endpoint, proposals)
	}
	return figures, nil
}
