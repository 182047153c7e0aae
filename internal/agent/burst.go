package agent

import (
	"bytes"
	"sync"

	"github.com/cereus-game/cereus/protocol"
)

const (
	mostInBurst = 64      // messages that are delivered together
	shareBelow  = 256     // bytes; smaller payloads share a block
	blockSize   = 1 << 10 // which is what a kept payload keeps at most
)

// burst gathers the messages that one read of a connection brought, so that
// they cost one hand-over. A connection has one only while there are some.
type burst struct {
	messages []protocol.Message
	block    []byte // its rest is free for payloads
}

// bursts are lent to readers.
var bursts = sync.Pool{New: func() any { return new(burst) }}

// add takes m, whose data is in the connection's buffer unless it was inflated.
func (b *burst) add(m *protocol.Message) {
	b.messages = append(b.messages, *m)
	if !m.Compressed {
		b.messages[len(b.messages)-1].Data = b.keep(m.Data)
	}
}

// keep copies data to memory of its own, which its receiver may keep for ever.
func (b *burst) keep(data []byte) []byte {
	if len(data) >= shareBelow {
		return bytes.Clone(data)
	}
	if len(data) > cap(b.block)-len(b.block) {
		b.block = make([]byte, 0, blockSize)
	}
	start := len(b.block)
	b.block = append(b.block, data...)
	return b.block[start:len(b.block):len(b.block)]
}

func (b *burst) giveBack() {
	clear(b.messages)
	b.messages = b.messages[:0]
	bursts.Put(b)
}
