// Command cereus helps with developing games on cereus: it runs etcd and NATS
// (cereus dev) and talks to a frontend as a player would (cereus repl). It helps
// with running them, too: it shows who is in a cluster (cereus servers), changes
// what a server says of itself (cereus edit) and chooses who leads (cereus
// leader). See cereus --help.
package main
