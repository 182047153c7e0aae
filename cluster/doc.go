// Package cluster knows the servers of a cluster and carries calls between
// them. A Server is one node; a ServiceDiscovery tells which servers there are
// and registers this one (EtcdDiscovery, and MemoryDiscovery within one
// process); the RPC client and server carry requests, notifies and pushes over
// NATS, or over an in-memory bus. Keys, values, subjects and messages are those
// of Pitaya (wire.md sections 6 to 10), so that its servers and ours make one
// cluster; what is ours beyond that is used only between servers that list it.
package cluster
