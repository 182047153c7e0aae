package protocol

import (
	"encoding/json"
	"fmt"
	"strings"
)

// CloseCode says why a server closed a client's connection. Its range says
// whether to come back: see [CloseCode.Again]. A WebSocket client finds it in
// the close frame, any client in the body of a kick that has one. Where one of
// RFC 6455's own codes says the same, it is that.
type CloseCode uint16

// The codes, each with the word that logs and metrics show.
const (
	CloseLeft     CloseCode = 1000 // "left": the client closed it; also for reasons of the application's own
	CloseShutdown CloseCode = 1001 // "shutdown": the server stops
	CloseProtocol CloseCode = 1002 // "protocol error": bytes that wire.md 1.2, 2.1 or 3.6 refuses
	CloseBroken   CloseCode = 1006 // "broken": reset or lost; never sent
	CloseInternal CloseCode = 1011 // "internal error": a panic of the server

	CloseSlow  CloseCode = 4000 // "slow": the client does not read what it is sent
	CloseFlood CloseCode = 4001 // "flood": it sends too much
	CloseLate  CloseCode = 4002 // "handshake timeout": it did not finish the handshake in time

	CloseBusy CloseCode = 4003 // "busy": the server has no memory left for unfinished packets

	CloseTimeout CloseCode = 4100 // "timeout": no packet for two heartbeat intervals, or one not finished in time
	CloseMoved   CloseCode = 4101 // "moved": the player belongs on another server
	ClosePaused  CloseCode = 4102 // "paused": the server takes no new players for now

	CloseKicked   CloseCode = 4200 // "kicked"
	CloseReplaced CloseCode = 4201 // "replaced": the user logged in elsewhere
	CloseRefused  CloseCode = 4202 // "handshake": the handshake was refused
)

// The words.
const (
	ReasonLeft      = "left"
	ReasonShutdown  = "shutdown"
	ReasonProtocol  = "protocol error"
	ReasonBroken    = "broken"
	ReasonInternal  = "internal error"
	ReasonSlow      = "slow"
	ReasonFlood     = "flood"
	ReasonLate      = "handshake timeout"
	ReasonBusy      = "busy"
	ReasonTimeout   = "timeout"
	ReasonMoved     = "moved"
	ReasonPaused    = "paused"
	ReasonKicked    = "kicked"
	ReasonReplaced  = "replaced"
	ReasonHandshake = "handshake"
)

// CloseCodeOf is the code of a word. Words of the application have CloseLeft.
func CloseCodeOf(reason string) CloseCode {
	switch reason {
	case ReasonShutdown:
		return CloseShutdown
	case ReasonProtocol:
		return CloseProtocol
	case ReasonBroken:
		return CloseBroken
	case ReasonInternal:
		return CloseInternal
	case ReasonSlow:
		return CloseSlow
	case ReasonFlood:
		return CloseFlood
	case ReasonLate:
		return CloseLate
	case ReasonBusy:
		return CloseBusy
	}
	return closeCodeOfPlayer(reason)
}

// closeCodeOfPlayer is for what happens to a player rather than to bytes.
func closeCodeOfPlayer(reason string) CloseCode {
	switch reason {
	case ReasonTimeout:
		return CloseTimeout
	case ReasonMoved:
		return CloseMoved
	case ReasonPaused:
		return ClosePaused
	case ReasonKicked:
		return CloseKicked
	case ReasonReplaced:
		return CloseReplaced
	case ReasonHandshake:
		return CloseRefused
	}
	return CloseLeft
}

// Again says whether a client may come back.
type Again int

// The answers of CloseCode.Again.
const (
	AgainAtOnce Again = iota // to this address or, better, another one of the game's
	AgainLater               // after some time: the server or the client has too much to do
	AgainNever               // not by itself: ask the player
)

// Again is what a client should do after a close with the code: 4000 to 4099
// and 1013 mean later, 4200 to 4299, 1002, 1003 and 1007 to 1010 never, and
// everything else at once, also codes of later versions and no code at all.
func (c CloseCode) Again() Again {
	switch {
	case c >= 4000 && c < 4100, c == 1013:
		return AgainLater
	case c >= 4200 && c < 4300, c == CloseProtocol, c == 1003, c >= 1007 && c <= 1010:
		return AgainNever
	}
	return AgainAtOnce
}

// Kick is the body of a kick packet (wire.md section 1).
type Kick struct {
	Reason string    // for the player or the game; "" when none was given
	Code   CloseCode // 0 when none was given, as by Pitaya and Pomelo
}

// maxKick bounds what ParseKick looks at, in bytes.
const maxKick = 32 << 10

// maxKickReason bounds a reason in bytes; encoded, each may become six.
const maxKickReason = 4000

// AppendKick appends a kick packet to dst. Without a reason it has no body, as
// Pitaya's; with one it is Pomelo's {"reason":...} and the code beside it.
// A reason beyond 4,000 bytes is cut.
func AppendKick(dst []byte, k Kick) ([]byte, error) {
	if k.Reason == "" {
		return AppendPacket(dst, PacketKick, nil)
	}
	if len(k.Reason) > maxKickReason {
		k.Reason = strings.ToValidUTF8(k.Reason[:maxKickReason], "")
	}
	body, err := json.Marshal(struct {
		Reason string    `json:"reason"`
		Code   CloseCode `json:"code,omitempty"`
	}{k.Reason, k.Code})
	if err != nil {
		return dst, err
	}
	return AppendPacket(dst, PacketKick, body)
}

// ParseKick reads the body of a kick: {"reason":"...","code":...}, or plain
// text, which is the reason.
func ParseKick(body []byte) Kick {
	body = body[:min(len(body), maxKick)]
	var said struct {
		Reason any `json:"reason"`
		Code   any `json:"code"`
	}
	if json.Unmarshal(body, &said) != nil {
		return Kick{Reason: strings.ToValidUTF8(string(body), "\uFFFD")}
	}
	var k Kick
	if code, ok := said.Code.(float64); ok && code >= 1000 && code < 5000 {
		k.Code = CloseCode(code)
	}
	switch reason := said.Reason.(type) {
	case nil:
	case string:
		k.Reason = reason
	default:
		k.Reason = fmt.Sprint(reason)
	}
	return k
}
