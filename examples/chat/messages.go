package main

// JoinRequest asks to be let into a room under a name: room.chat.join.
type JoinRequest struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

// JoinReply is what one finds there.
type JoinReply struct {
	Name    string    `json:"name"`
	Room    string    `json:"room"`
	Members []string  `json:"members"`
	History []Message `json:"history"`
	Server  string    `json:"server"` // that answered
}

// SayRequest is a text for the room: room.chat.say.
type SayRequest struct {
	Text string `json:"text"`
}

// SayReply tells when it was said, in milliseconds since 1970.
type SayReply struct {
	At int64 `json:"at"`
}

// Message is what everybody in the room gets: push chat.message.
type Message struct {
	Room string `json:"room"`
	From string `json:"from"`
	Text string `json:"text"`
	At   int64  `json:"at"`
}

// Visitor is someone in a room: pushes chat.joined and chat.left.
type Visitor struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

// People are names.
type People struct {
	Names []string `json:"names"`
}

// Nothing is the reply that says no more than that it worked.
type Nothing struct{}
