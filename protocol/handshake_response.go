package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// The codes of a handshake response that cereus sends (wire.md 2.3). Clients
// take every other code for a refusal, too.
const (
	HandshakeOK     = 200
	HandshakeFailed = 400
)

// HandshakeResponse is the server's answer to a handshake.
type HandshakeResponse struct {
	Code       int           // HandshakeOK or HandshakeFailed
	Dictionary *Dictionary   // nil for none
	Heartbeat  time.Duration // travels in seconds; browsers and the Go client want whole ones
	Serializer string        // name of the payload codec
}

type wireHandshakeResponse struct {
	Code int                      `json:"code"`
	Sys  wireHandshakeResponseSys `json:"sys"`
}

type wireHandshakeResponseSys struct {
	Dict       map[string]uint16 `json:"dict"`
	Heartbeat  float64           `json:"heartbeat"`
	Serializer string            `json:"serializer"`
}

// AppendHandshakeResponse appends the body of a handshake response, keys in
// the reference's order. It is a bare zlib stream when the JSON is longer than
// compressAbove bytes (0 = never compress) and gets strictly shorter that way.
// Send it in one write: the Go client cannot put two together.
func AppendHandshakeResponse(dst []byte, r *HandshakeResponse, compressAbove int) ([]byte, error) {
	body, err := json.Marshal(wireHandshakeResponse{
		Code: r.Code,
		Sys: wireHandshakeResponseSys{
			Dict:       r.Dictionary.Routes(),
			Heartbeat:  r.Heartbeat.Seconds(),
			Serializer: r.Serializer,
		},
	})
	if err != nil {
		return dst, fmt.Errorf("handshake response: %w", err)
	}
	dst, _ = appendBody(dst, body, compressAbove)
	return dst, nil
}

// DecodeHandshakeResponse reads a server's answer as a client does: compressed
// or not, at most DefaultMaxInflated bytes, unknown keys ignored. Missing parts
// of sys are zero, except the serializer, which is then "json".
func DecodeHandshakeResponse(b []byte) (*HandshakeResponse, error) {
	if IsCompressed(b) {
		inflated, err := Inflate(b, InflateLimits{MaxRatio: -1})
		if err != nil {
			return nil, fmt.Errorf("handshake response: %w", err)
		}
		b = inflated
	}
	w := wireHandshakeResponse{Sys: wireHandshakeResponseSys{Serializer: "json"}}
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("handshake response: %w", err)
	}
	heartbeat, err := seconds(w.Sys.Heartbeat)
	if err != nil {
		return nil, fmt.Errorf("handshake response: %w", err)
	}
	dictionary, err := NewDictionary(w.Sys.Dict)
	if err != nil {
		return nil, fmt.Errorf("handshake response: %w", err)
	}
	return &HandshakeResponse{Code: w.Code, Dictionary: dictionary, Heartbeat: heartbeat, Serializer: w.Sys.Serializer}, nil
}

var errHeartbeat = errors.New("the heartbeat is not a number of seconds that makes sense")

func seconds(s float64) (time.Duration, error) {
	if s < 0 || s > float64(math.MaxInt64/int64(time.Second)) {
		return 0, errHeartbeat
	}
	return time.Duration(math.Round(s * float64(time.Second))), nil
}
