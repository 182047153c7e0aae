package cluster

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Small messages that are sent at the same moment to the same server travel as
// one NATS message, a bundle, if that server lists constants.CapBundle: NATS and
// both sides then do once what they would do for each. Requests go to the
// subject of their server as always, so that they keep their order with others;
// the last token of the bundle's reply subject begins with bundleMark and is the
// token of its first call. Replies to what came in bundles may be bundled, too:
// on the caller's inbox with bundleMark as the last token.
//
// A bundle is a sequence of: length of token (1 byte), token, length of message
// (varint), message. A token is what would have ended the reply subject.

const bundleMark = "~"

// Bounds of bundles. Larger ones save little, and keep the other side waiting.
const (
	bundleMessages = 32
	bundleAccepted = 256 // messages in a bundle that arrives
	bundleBytes    = 32 << 10
	bundledBytes   = 4 << 10 // of one message
	bundleToken    = 13      // characters of a token: 64 bits to the base 36
)

var errBundle = errors.New("the bundle is damaged")

// appendBundled appends m to a bundle.
func appendBundled(dst []byte, m *outgoing) []byte {
	at := len(dst)
	dst = m.appendToken(append(dst, 0))
	dst[at] = byte(len(dst) - at - 1)
	dst = binary.AppendUvarint(dst, uint64(len(m.body.b)))
	return append(dst, m.body.b...)
}

// eachBundled calls fn for every message in a bundle, up to the first fault.
func eachBundled(data []byte, fn func(token, body []byte)) error {
	for count := 0; len(data) > 0; count++ {
		if count == bundleAccepted {
			return errBundle
		}
		n := int(data[0])
		if n == 0 || n > bundleToken || len(data) <= 1+n || !isToken(data[1:1+n]) {
			return errBundle
		}
		token := data[1 : 1+n]
		size, width := binary.Uvarint(data[1+n:])
		if width <= 0 || size > uint64(len(data)-1-n-width) {
			return errBundle
		}
		body := data[1+n+width:][:size]
		data = data[1+n+width:][size:]
		fn(token, body)
	}
	return nil
}

func isToken(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// cutBundle returns the inbox, with its dot, that a bundle of requests came from.
func cutBundle(reply string) (inbox string, ok bool) {
	inbox, _, ok = strings.Cut(reply, bundleMark)
	return inbox, ok && strings.HasSuffix(inbox, ".")
}

// bundleLength is how many of items, at least one, can be sent as one message.
func bundleLength(items []natsQueued, limit int) int {
	first := &items[0]
	if first.bundle == "" || len(first.body.b) > bundledBytes {
		return 1
	}
	limit = min(limit, bundleBytes)
	n, size := 0, 0
	for n < len(items) && n < bundleMessages {
		m := &items[n]
		if m.bundle != first.bundle || len(m.body.b) > bundledBytes { // also what is no message
			break
		}
		size += 1 + bundleToken + binary.MaxVarintLen16 + len(m.body.b)
		if size > limit {
			break
		}
		n++
	}
	return max(n, 1)
}
