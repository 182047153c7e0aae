package protocol_test

import (
	"fmt"

	"github.com/cereus-game/cereus/protocol"
)

// A response as it goes to the socket, and back.
func Example() {
	m := protocol.Message{Type: protocol.MessageResponse, ID: 7, Data: []byte(`{"ok":true}`)}
	packet, err := m.AppendPacketTo(nil, protocol.Encoding{CompressAbove: 1024})
	if err != nil {
		fmt.Println(err)
		return
	}
	packets, err := protocol.DecodePackets(packet)
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := protocol.DecodeMessage(packets[0].Body, protocol.Decoding{})
	fmt.Println(packets[0].Type, got.Type, got.ID, string(got.Data), err)
	// Output: data response 7 {"ok":true} <nil>
}

// A server resolves the route codes that it announced in the handshake.
func ExampleNewDictionary() {
	dictionary, err := protocol.NewDictionary(map[string]uint16{"onMove": 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	push := protocol.Message{Type: protocol.MessagePush, Route: "onMove", Data: []byte("x")}
	b, err := push.AppendTo(nil, protocol.Encoding{Dictionary: dictionary})
	fmt.Printf("% x %v\n", b, err)
	// Output: 07 00 01 78 <nil>
}
