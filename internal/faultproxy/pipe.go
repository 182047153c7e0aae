package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A pipe holds at most chunks x chunkSize bytes.
const (
	chunks    = 128
	chunkSize = 4 << 10
)

// direction is what all pipes of one direction share.
type direction struct {
	shape atomic.Pointer[Shape]
	bytes atomic.Int64
}

func (d *direction) load() Shape {
	if s := d.shape.Load(); s != nil {
		return *s
	}
	return Shape{}
}

type chunk struct {
	data []byte
	due  time.Time
}

type pipeEnds struct {
	way      Direction
	from, to *net.TCPConn
}

// pipe is one direction of a link. A reader stamps what it reads with the time
// of its delivery, a writer delivers it.
type pipe struct {
	pipeEnds
	link  *link
	dir   *direction
	queue chan chunk
	done  chan struct{} // closed when the writer has ended
}

func newPipe(k *link, ends pipeEnds, d *direction) *pipe {
	return &pipe{pipeEnds: ends, link: k, dir: d, queue: make(chan chunk, chunks), done: make(chan struct{})}
}

func (p *pipe) read(ctx context.Context) {
	defer close(p.queue)
	for p.link.gate.pass(ctx, p.link.ended) {
		buf := make([]byte, chunkSize)
		n, err := p.from.Read(buf)
		if n > 0 && !p.enqueue(ctx, buf[:n]) {
			return
		}
		if errors.Is(err, io.EOF) {
			p.enqueue(ctx, nil) // the end of stream takes its time, too
			return
		}
		if err != nil { // a reset here is a reset there, unless nothing moves
			if p.link.gate.pass(ctx, p.link.ended) {
				p.link.cut(RST)
			}
			return
		}
	}
}

func (p *pipe) enqueue(ctx context.Context, data []byte) bool {
	select {
	case p.queue <- chunk{data: data, due: time.Now().Add(p.dir.load().Delay)}:
		return true
	case <-p.link.ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// write delivers until the queue ends, then passes the end of stream on. What
// comes after a half-close is thrown away.
func (p *pipe) write(ctx context.Context) {
	defer close(p.done)
	for c := range p.queue {
		if !p.wait(ctx, time.Until(c.due)) || !p.link.gate.pass(ctx, p.link.ended) {
			return
		}
		if !p.deliver(ctx, c.data) {
			return
		}
	}
	_ = p.to.CloseWrite()
}

// deliver reports false when the link has ended.
func (p *pipe) deliver(ctx context.Context, data []byte) bool {
	for len(data) > 0 && !p.link.isHalved(p.way) {
		s := p.dir.load()
		n, err := p.to.Write(data[:pieceSize(s, len(data))])
		p.dir.bytes.Add(int64(n))
		if err != nil && !p.link.isHalved(p.way) {
			p.link.cut(RST)
			return false
		}
		data = data[n:]
		if !p.wait(ctx, pieceTime(s, n)) || !p.link.gate.pass(ctx, p.link.ended) {
			return false
		}
	}
	return true
}

// pieceSize keeps pieces of a limited connection small enough to arrive in a
// steady trickle: at most a twentieth of a second's bytes.
func pieceSize(s Shape, n int) int {
	if s.Slice > 0 {
		n = min(n, s.Slice)
	}
	if s.Bandwidth > 0 {
		n = min(n, max(1, s.Bandwidth/20))
	}
	return n
}

func pieceTime(s Shape, n int) time.Duration {
	d := s.Gap
	if s.Bandwidth > 0 {
		d += time.Duration(n) * time.Second / time.Duration(s.Bandwidth)
	}
	return d
}

// wait reports false when the link ended first.
func (p *pipe) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.link.ended:
		return false
	case <-ctx.Done():
		return false
	}
}
