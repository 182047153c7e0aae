package cluster

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// maxPooledBuffer keeps rare large messages from staying in the pool.
const maxPooledBuffer = 64 << 10

// buffer is an encoded message on its way out.
type buffer struct {
	b    []byte
	pool *bufferPool
}

// release gives the buffer back; it must not be used afterwards.
func (b *buffer) release() {
	if b != nil && cap(b.b) <= maxPooledBuffer {
		b.pool.free.Put(b)
	}
}

// bufferPool lends buffers. The zero value is ready.
type bufferPool struct{ free sync.Pool }

func appendMessage(dst []byte, m proto.Message) ([]byte, error) {
	switch m := m.(type) {
	case *clusterpb.Request:
		return appendRequest(dst, m)
	case *clusterpb.Response:
		return appendResponse(dst, m)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// encode returns m in a buffer.
func (p *bufferPool) encode(m proto.Message) (*buffer, error) {
	buf, _ := p.free.Get().(*buffer)
	if buf == nil {
		buf = &buffer{pool: p}
	}
	b, err := appendMessage(buf.b[:0], m)
	if err != nil {
		buf.release()
		return nil, err
	}
	buf.b = b
	return buf, nil
}
