package group

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Keys of the bucket: g.<group>, t.<life of a group with a ttl> and
// s.<server>.<run>, names in base64 because a key allows few characters.

func groupKey(name string) string { return "g." + encodeName(name) }

func lifeKey(life string) string { return "t." + life }

func serverKey(h Holder) string { return "s." + encodeName(h.Server) + "." + encodeName(h.Run) }

func encodeName(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// splitGroupKey is the inverse of groupKey.
func splitGroupKey(key string) (name string, ok bool) {
	encoded, ok := strings.CutPrefix(key, "g.")
	return decodeName(encoded, ok)
}

// splitServerKey is the inverse of serverKey.
func splitServerKey(key string) (h Holder, ok bool) {
	rest, ok := strings.CutPrefix(key, "s.")
	server, run, dot := strings.Cut(rest, ".")
	if h.Server, ok = decodeName(server, ok && dot); !ok {
		return Holder{}, false
	}
	h.Run, ok = decodeName(run, true)
	return h, ok
}

func decodeName(encoded string, ok bool) (string, bool) {
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(name), ok && err == nil
}

// valueOfTTL is the value of a server's key: how long it lasts, in milliseconds.
func valueOfTTL(ttl time.Duration) []byte { return strconv.AppendInt(nil, ttl.Milliseconds(), 10) }

// ttlOf is the inverse of valueOfTTL; MaxTTL for what is not one.
func ttlOf(value []byte) time.Duration {
	ms, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || ms <= 0 || ms > MaxTTL.Milliseconds() {
		return MaxTTL
	}
	return time.Duration(ms) * time.Millisecond
}
