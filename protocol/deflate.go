package protocol

import (
	"compress/zlib"
	"errors"
	"sync"
)

// A zlib writer holds about 800 KB, so making one for every reply is what makes
// compression dear. The pool has no meaning beyond saving that.
var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.zw = zlib.NewWriter(&d.out)
	return d
}}

type deflater struct {
	zw  *zlib.Writer
	out boundedBuffer
}

// boundedBuffer appends up to a limit, so that deflating stops as soon as it is
// known not to pay.
type boundedBuffer struct {
	dst []byte
	end int // len(dst) must not exceed it; negative: no bound
}

var errNotShorter = errors.New("deflated data is not shorter")

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.end >= 0 && len(b.dst)+len(p) > b.end {
		return 0, errNotShorter
	}
	b.dst = append(b.dst, p...)
	return len(p), nil
}

// Deflate appends data as a zlib stream (RFC 1950), shorter or not.
func Deflate(dst, data []byte) []byte {
	out, _ := appendDeflated(dst, data, -1)
	return out
}

// appendDeflated appends data as a zlib stream of at most limit bytes (negative:
// any number). ok is false, and dst as long as it was, when it needs more.
func appendDeflated(dst, data []byte, limit int) (out []byte, ok bool) {
	d := deflaters.Get().(*deflater)
	defer d.release()
	d.out = boundedBuffer{dst: dst, end: -1}
	if limit >= 0 {
		d.out.end = len(dst) + limit
	}
	d.zw.Reset(&d.out)
	if _, err := d.zw.Write(data); err != nil {
		return dst, false
	}
	if err := d.zw.Close(); err != nil {
		return dst, false
	}
	return d.out.dst, true
}

// release lets go of the caller's buffer before the deflater is pooled.
func (d *deflater) release() {
	d.out = boundedBuffer{}
	deflaters.Put(d)
}
