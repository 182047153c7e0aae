// Package dispatch takes a decoded message to the code that serves it: to a
// handler of this server, or through the cluster to one of another server.
//
// It owns the order of one player's messages (Inbox on the frontend, mailbox on
// the backend), the windows of unanswered forwards, and the limits on work in
// progress. It joins session and cluster, which do not know each other.
package dispatch
