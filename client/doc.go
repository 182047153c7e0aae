// Package client is a Go client of the client protocol, for tools, tests and
// load generators (wire.md sections 1 to 5).
//
//	c, err := client.Dial(ctx, "tcp://127.0.0.1:3250")
//	if err != nil { ... }
//	defer c.Close()
//	c.OnPush(func(route string, data []byte) { ... })
//	var reply JoinReply
//	err = c.Request(ctx, "room.lobby.join", &JoinRequest{Room: "blue"}, &reply)
//
// Dial does the handshake and takes from it the serializer, the route dictionary
// and the heartbeat. After that the client answers for itself: it beats, notices
// a dead server, inflates what comes compressed and matches responses to requests.
// It does not reconnect; Done and Err tell when and why a connection ended.
package client
