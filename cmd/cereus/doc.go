// Command cereus helps with developing games on cereus: it runs etcd and NATS
// (cereus dev), talks to a frontend as a player would (cereus repl) and shows who
// is in a cluster (cereus servers). See cereus --help.
package main
