// Package embedded runs etcd and nats-server inside this process, for
// development and for tests. Game servers never link it.
//
// Start brings up what a cereus cluster needs in about a tenth of a second:
//
//	c, err := embedded.Start(ctx)
//	if err != nil { ... }
//	defer c.Stop(context.Background())
//	cfg.Cluster.SD.Etcd.Endpoints = c.EtcdEndpoints()
//	cfg.Cluster.RPC.Client.NATS.Connect = config.URLs(c.NATSURL())
//	cfg.Cluster.RPC.Server.NATS.Connect = config.URLs(c.NATSURL())
//
// The servers listen on the loopback interface only, without passwords and,
// unless WithEtcdTLS is given, without TLS. Any number of clusters can run side
// by side, in one process or in many. For tests of faults, each etcd and each
// NATS node can be stopped and started again on the port it had.
//
// WithEtcdNodes runs a Raft group of etcds: EtcdLeader tells which one leads,
// StopEtcdNode kills it. EtcdRaftIndex and EtcdMetric count what etcd writes.
package embedded
