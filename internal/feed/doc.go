// Package feed tells servers what happens to the users' sessions of frontends:
// bound, unbound, closed.
//
// A frontend numbers its events from 1, publishes them (cluster.RPCClient), and
// keeps the last of them. Once a second it says how far it is, so that the loss
// of the last event is noticed too. A [Watch] on another server follows every
// frontend of a type: it begins with the list of the sessions there are, tells
// each event once and in order, asks the frontend for what it missed, and when
// that is forgotten takes the list again and tells the difference. When a
// frontend is gone, so are its sessions.
package feed
