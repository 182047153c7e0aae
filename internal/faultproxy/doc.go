// Package faultproxy is a TCP proxy that does to connections what networks do:
// it delays, freezes, cuts, refuses and shreds them, on command of a test.
//
// A test puts it between a client and a server and steers it while both run:
//
//	p := faultproxy.New(t, cluster.EtcdEndpoints()[0])
//	client := dial(p.Addr())
//	p.Pause(faultproxy.All) // the network is gone, without a word
//	...
//	p.Resume()
package faultproxy
