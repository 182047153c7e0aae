package config

import (
	"net"
	"strconv"
)

// imply sets what other settings imply unless it is set itself, and warns of
// settings that do less or more than one may expect.
func (l *loader) imply(cfg *Config) {
	l.implyOnLoss(cfg)
	l.implyAddress(cfg)
	l.warnCredentials(cfg)
	l.warnReconnects(cfg)
}

func (l *loader) implyOnLoss(cfg *Config) {
	const retries, onLoss = "cluster.sd.etcd.grantlease.maxretries", "cluster.sd.etcd.onloss"
	if l.report.Explicit(retries) && !l.report.Explicit(onLoss) {
		cfg.Cluster.SD.Etcd.OnLoss = OnLossExit
		l.warn(retries, "implies onloss exit: the server ends when the lease cannot be had again; set "+onLoss+" to say otherwise")
	}
}

// implyAddress opens the admin address where Pitaya serves its metrics.
func (l *loader) implyAddress(cfg *Config) {
	const enabled, address, pprof, token = "metrics.prometheus.enabled", "admin.address", "admin.pprof", "admin.token"
	if cfg.Metrics.Prometheus.Enabled && !l.report.Explicit(address) {
		cfg.Admin.Address = net.JoinHostPort("0.0.0.0", strconv.Itoa(cfg.Metrics.Prometheus.Port))
		l.warn(enabled, "opens "+cfg.Admin.Address+" on all interfaces, as in Pitaya; set "+address+" to say where")
	}
	if cfg.Admin.Pprof && cfg.Admin.Address == "" {
		l.warn(pprof, "is not used: "+address+" is not set")
	}
	if cfg.Admin.Token != "" && !l.report.Explicit(address) {
		cfg.Admin.Token = "" // what serves metrics to everybody is no place to change the cluster
		l.warn(token, "is not used, the API of service discovery is not served: set "+address+" to say where, such as 127.0.0.1:9090")
	}
}

func (l *loader) warnCredentials(cfg *Config) {
	const unused = "is not used: etcd needs both user and pass"
	for section, etcd := range cfg.etcdConnections() {
		if etcd.User != "" && etcd.Pass == "" {
			l.warn(section+".user", unused)
		}
		if etcd.User == "" && etcd.Pass != "" {
			l.warn(section+".pass", unused)
		}
	}
}

func (l *loader) warnReconnects(cfg *Config) {
	const client, server = "cluster.rpc.client.nats.maxreconnectionretries", "cluster.rpc.server.nats.maxreconnectionretries"
	const ends = "the server ends after that many reconnects to NATS; -1 is forever"
	if cfg.Cluster.RPC.Client.NATS.MaxReconnectionRetries >= 0 {
		l.warn(client, ends)
	}
	if cfg.Cluster.RPC.Server.NATS.MaxReconnectionRetries >= 0 {
		l.warn(server, ends)
	}
}
