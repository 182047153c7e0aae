package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	raft "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

const (
	metricsBytes = 16 << 20 // the most that EtcdMetric reads
	metricsLine  = 1 << 20  // the longest line it accepts
)

// EtcdRaftIndex is the number of entries in the Raft log of this cluster's etcd,
// all of them applied: every write adds one (put, delete, transaction that
// writes, grant or revocation of a lease), reads and renewals of leases add
// none. It counts for this cluster alone, however many etcds the process runs.
//
// etcd itself adds a few entries: each node as it starts, each new leader, and
// once, within 5 s of Start, a group may raise its version; a node alone adds
// none after Start. It fails when no node runs or, after 30 s at the latest,
// when there is no leader.
func (c *Cluster) EtcdRaftIndex(ctx context.Context) (uint64, error) {
	if c.etcd == nil {
		return 0, ErrNotStarted
	}
	return c.etcd.raftIndex(ctx)
}

func (g *etcdGroup) raftIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	runs := g.running()
	if len(runs) == 0 {
		return 0, errors.New("embedded: etcd does not run: start it with RestartEtcd")
	}
	s := runs[0].etcd.Server
	// After a linearizable read the node has applied all that was committed before.
	err := s.LinearizableReadNotify(ctx)
	for errors.Is(err, raft.ErrLeaderChanged) {
		err = s.LinearizableReadNotify(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("embedded: etcd does not tell its Raft index: %w", err)
	}
	return s.AppliedIndex(), nil
}

// EtcdMetric reads the metric called name, such as
// etcd_server_proposals_committed_total, from what the etcd at endpoint
// (host:port or http://host:port) publishes itself, and sums its samples over
// all labels. It asks without TLS.
//
// The numbers are right for a process with one etcd. All etcds of a process
// share them: counters are sums over all etcds that ever ran in it, and of
// gauges (those of proposals are gauges) the one that wrote last wins. Use
// EtcdRaftIndex for an etcd of this process.
func EtcdMetric(ctx context.Context, endpoint, name string) (float64, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/metrics", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("embedded: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("embedded: etcd's metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("embedded: %s/metrics answers %s: is it an etcd?", endpoint, res.Status)
	}
	sum, err := sumMetric(io.LimitReader(res.Body, metricsBytes), name)
	if err != nil {
		return 0, fmt.Errorf("embedded: %s/metrics: %w", endpoint, err)
	}
	return sum, nil
}

// sumMetric adds up the samples of a metric in Prometheus' text format.
func sumMetric(text io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, metricsLine)
	sum, found := 0.0, false
	for lines.Scan() {
		sample, ok := sampleOf(lines.Text(), name)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(sample, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %q", name)
	}
	return sum, nil
}

// sampleOf is the value of a line "name value" or "name{labels} value", which
// a time may follow. Values of labels may hold braces.
func sampleOf(line, name string) (string, bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok || name == "" {
		return "", false
	}
	if strings.HasPrefix(rest, "{") {
		rest = rest[strings.LastIndexByte(rest, '}')+1:]
	} else if !strings.HasPrefix(rest, " ") {
		return "", false
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", false
	}
	return fields[0], true
}
