package protocol

// MessageType says what a message is for.
type MessageType byte

// The message types (wire.md 3.1).
const (
	MessageRequest  MessageType = 0 // from the client: id and route
	MessageNotify   MessageType = 1 // from the client: route
	MessageResponse MessageType = 2 // from the server: id
	MessagePush     MessageType = 3 // from the server: route
)

// Bits of the flag byte.
const (
	flagRoute    = 0x01
	flagZlib     = 0x10 // named gzip in the reference, means zlib
	flagError    = 0x20
	typeShift    = 1
	typeMask     = 0x07
	maxRoute     = 255
	minMessage   = 2
	routeCodeLen = 2
)

// Valid reports whether t is one of the four message types.
func (t MessageType) Valid() bool { return t <= MessagePush }

// String is the type's name for logs.
func (t MessageType) String() string {
	switch t {
	case MessageRequest:
		return "request"
	case MessageNotify:
		return "notify"
	case MessageResponse:
		return "response"
	case MessagePush:
		return "push"
	}
	return "invalid"
}

func (t MessageType) hasID() bool    { return t == MessageRequest || t == MessageResponse }
func (t MessageType) hasRoute() bool { return t != MessageResponse }

// Message is the body of a data packet (wire.md 3).
type Message struct {
	Type  MessageType
	ID    uint64 // of requests and responses; a request with id 0 is never answered
	Route string // of all but responses
	Data  []byte // the payload, always inflated
	Err   bool   // the payload of a response is an error body, see DecodeError

	// Compressed reports that the payload was inflated while decoding. Encoding
	// ignores it and goes by Encoding.CompressAbove.
	Compressed bool
}
