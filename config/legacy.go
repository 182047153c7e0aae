package config

import "strings"

// legacy is a key of Pitaya that is accepted though it is not ours.
type legacy struct {
	key     string // without the root; covers everything below it too
	renamed string // the key it stands for now, "" when it means nothing here
	hint    string // why it means nothing
}

// legacyKeys are the keys of wire.md section 14 that have another name here,
// or no meaning: also those that mean nothing in Pitaya any more.
func legacyKeys() []legacy {
	const (
		admission = "mailboxes and windows bound what waits: see conn.mailbox and cluster.window"
		grpc      = "servers call each other over NATS only"
		worker    = "there are no Redis workers"
		scrape    = "read when /metrics is asked for"
	)
	return []legacy{
		{key: "cluster.rpc.server.nats.services", renamed: "cluster.rpc.server.concurrency"},
		{key: "concurrency.remote.service", renamed: "cluster.rpc.server.concurrency"},
		{key: "metrics.additionaltags", renamed: "metrics.additionallabels"},
		{key: "metrics.prometheus.additionaltags", renamed: "metrics.additionallabels"},
		{key: "metrics.prometheus.additionallabels", renamed: "metrics.additionallabels"},
		{key: "metrics.consttags", renamed: "metrics.constlabels"},
		{key: "metrics.prometheus.constlabels", renamed: "metrics.constlabels"},
		{key: "cluster.sd.etcd.syncserversparallelism", renamed: "cluster.sd.etcd.syncservers.parallelism"},

		{key: "buffer.handler", hint: admission},
		{key: "buffer.cluster.rpc.server.nats", hint: admission},
		{key: "concurrency.handler.dispatch", hint: "players run in parallel, each player's messages in order"},
		{key: "cluster.rpc.server.nats.buffer", hint: admission},
		{key: "cluster.rpc.server.grpc", hint: grpc},
		{key: "cluster.rpc.client.grpc", hint: grpc},
		{key: "session.drain", hint: "sessions drain for shutdown.timeout"},
		{key: "worker", hint: worker},
		{key: "metrics.period", hint: scrape},
		{key: "metrics.periodicmetrics", hint: scrape},
		{key: "metrics.statsd", hint: "metrics are served to Prometheus only"},
		{key: "cluster.sd.etcd.servertypeblacklist", hint: "Pitaya ignores it too: the key is cluster.sd.etcd.servertypesblacklist"},
		{key: "buffer.agent.writetimeout", hint: "Pitaya ignores it too: the key is buffer.agent.conntimeout"},
	}
}

func (l legacy) covers(key string) bool { return key == l.key || strings.HasPrefix(key, l.key+".") }
