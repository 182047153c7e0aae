package conformance_test

import (
	"strings"

	"github.com/cereus-game/cereus/protocol"
)

// cli33Missing are the lines of the longest recording that the file leaves out.
func cli33Missing(w *world) []step {
	steps := append(cli33A(), does(113, "A", w.awaitSlow)) // a session's handlers run one after the other
	steps = append(steps, cli33B()...)
	return append(steps, cli33D()...)
}

func cli33A() []step {
	return []step{
		saysHandshake(1, "A"),
		hearsAnswer(7, "A", 2, `"a":"short route"`),
		hearsAnswer(9, "A", 3, `raw bytes`),
		hearsAnswer(16, "A", 6, `{"code":"GAME-7","msg":"coded boom","metadata":{"k":"v"}}`),
		says(19, "A", ask(8, "connector.svc.panic", `{}`)),
		says(21, "A", ask(9, "connector.svc.panic", `{}`)), hearsAnswer(22, "A", 9, `{"code":"PIT-000","msg":"kaboom"}`),
		hearsAnswer(28, "A", 12, `"code":"PIT-400"`),
		says(33, "A", ask(15, "a.b.c.d", `{}`)), hearsAnswer(34, "A", 15, `{"code":"PIT-400","msg":"invalid route"}`),
		says(52, "A", ask(23, "room.svc.nope", `{}`)),
		says(58, "A", ask(25, "room.svc.echo", `not json`)), hearsAnswer(59, "A", 25, `"code":"PIT-400"`),
		says(66, "A", ask(29, "room.svc.setdata", `{"a":"bob","n":7}`)),
		hearsAnswer(69, "A", 30, `"data":{"ipversion":"ipv4","level":7,"name":"bob"}`),
		hearsAnswer(73, "A", 32, `"a":"after bind","uid":"u1"`),
		hears(77, "A", "push", isPush("onMessage", `{"a":"pushed","n":1}`)),
		says(79, "A", ask(35, "room.svc.pushusers", `{"a":"u1"}`)),
		hearsAnswer(83, "A", 36, `"a":"pushusers"`),
		hears(85, "A", "push", isPush("onMessage", `{"a":"local push","n":1}`)),
		says(90, "A", ask(39, "room.svc.group", `{"a":"u1"}`)), hearsAnswer(91, "A", 39, `"a":"group"`),
		says(101, "A", ask(44, "room.svc.rpc", `{"a":"connector.rem.nope"}`)),
		says(105, "A", ask(46, "room.svc.rpc", `{"a":"room.rem.echo"}`)),
		hearsAnswer(110, "A", 48, `"a":"hello from room"`),
		hearsAnswer(112, "A", 49, `{"code":"PIT-408","msg":"rpc client: request timeout",`+
			`"metadata":{"peer.id":"back-1","route":"room.svc.slow","server":"front-1","timeout":"1.5s"}}`),
		says(113, "A", ask(50, "room.svc.rpc", `{"a":"connector.rem.slow"}`)),
	}
}

func cli33B() []step {
	return []step{
		saysAck(117, "B"),
		besides(122, "B", "the answer, before the kick", isAnswer(2, `"a":"kickusers"`)),
		hearsClosed(124, "B"),
	}
}

func cli33D() []step {
	zeds := message(protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "connector.svc.echo"})
	return []step{
		says(133, "D-badjson", packet(protocol.PacketHandshake, []byte(`{nope`))), hearsClosed(135, "D-badjson"),
		hearsHandshake(142, "D-null", 200),
		says(143, "D-numversion", packet(protocol.PacketHandshake, []byte(`{"sys":{"clientVersion":1}}`))),
		says(146, "D-pomelojs", packet(protocol.PacketHandshake, []byte(`{"sys":{"type":"js-websocket","version":"0.0.1"},"user":{}}`))),
		hearsClosed(150, "D-userarray"),
		hearsHandshake(152, "D-zlibhs", 400),
		hearsClosed(159, "D-dataBeforeAck"),
		says(161, "D-ackWithoutHandshake", ask(1, "svc.echo", `{}`)), hearsAnswer(162, "D-ackWithoutHandshake", 1, `"data":{}`),
		says(167, "D-heartbeatBeforeHandshake", ask(1, "connector.svc.echo", `{}`)),
		saysAck(171, "D-secondHandshake"), saysHandshake(174, "D-secondHandshake"), hearsClosed(177, "D-secondHandshake"),
		saysHandshake(183, "D-type6"), hearsClosed(187, "D-type6"),
		says(192, "D-kickFromClient", ask(1, "connector.svc.echo", `{}`)), hearsAnswer(193, "D-kickFromClient", 1, ``),
		saysAck(201, "D-emptydata"),
		saysAck(206, "D-responseFromClient"),
		saysAck(211, "D-pushFromClient"),
		says(216, "D-reqid0", ask(0, "connector.svc.echo", `{"a":"id0"}`)),
		hearsHandshake(218, "D-reqid0-remote", 200),
		says(220, "D-reqid0-remote", ask(0, "room.svc.echo", `{"a":"id0"}`)),
		hearsHandshake(222, "D-zlibReq", 200),
		says(224, "D-zlibReq", deflated(zeds, `{"a":"`+strings.Repeat("z", 100)+`"}`)),
		saysHandshake(236, "D-ackWithBody"), hearsHandshake(237, "D-ackWithBody", 200),
		hearsAnswer(241, "D-ackWithBody", 1, ``),
		saysLast(242, "D-partialThenEOF", handshakePacket[:20]),
		hearsClosed(249, "F-idleAfterAck"),
	}
}

// deflated is a request without a body, with body added as zlib (wire.md 3.5).
func deflated(request []byte, body string) []byte {
	flagged := append([]byte{request[protocol.HeaderSize] | flagDeflated}, request[protocol.HeaderSize+1:]...)
	return packet(protocol.PacketData, protocol.Deflate(flagged, []byte(body)))
}
