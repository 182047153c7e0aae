package protocol

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// DefaultMaxInflated bounds one inflated payload, in bytes.
	DefaultMaxInflated = 1 << 20
	// DefaultMaxRatio bounds inflated size by compressed size.
	DefaultMaxRatio = 10
	// InflateFree is the inflated size up to which no ratio is asked for: short
	// texts with much repetition are normal, and small.
	InflateFree = 16 << 10

	// maxScratch is the largest buffer that stays in the pool.
	maxScratch = 64 << 10
	// scratchGrowth: by four instead of two, so that all the buffers of one
	// inflation together stay below twice the largest.
	scratchGrowth = 4
)

// InflateLimits bound what a compressed payload may become. Zero values mean
// the defaults.
type InflateLimits struct {
	// MaxBytes is the largest inflated size.
	MaxBytes int
	// MaxRatio is the largest inflated size as a multiple of the compressed one;
	// it counts above InflateFree bytes. Negative means no such bound, for
	// clients that trust their server.
	MaxRatio int
}

// limit is the largest acceptable result for n compressed bytes.
func (l InflateLimits) limit(n int) int {
	most := cmp.Or(l.MaxBytes, DefaultMaxInflated)
	if l.MaxRatio < 0 {
		return most
	}
	return min(most, max(InflateFree, n*cmp.Or(l.MaxRatio, DefaultMaxRatio)))
}

// inflaters saves the 40 KB of a zlib reader and a scratch buffer per call.
var inflaters = sync.Pool{New: func() any { return new(inflater) }}

type inflater struct {
	src     bytes.Reader
	zr      io.ReadCloser // nil until the first valid header
	scratch []byte
}

// Inflate returns the content of the zlib stream at the start of src in memory
// of its own. It stops with ErrInflateLimit as soon as a limit is passed, having
// allocated less than twice the limit. Bytes after the stream are ignored, as
// the reference does.
func Inflate(src []byte, limits InflateLimits) ([]byte, error) {
	f := inflaters.Get().(*inflater)
	defer f.release()
	if err := f.reset(src); err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	out, err := f.readAll(limits.limit(len(src)))
	switch {
	case errors.Is(err, ErrInflateLimit):
		return nil, ErrInflateLimit
	case err != nil:
		return nil, fmt.Errorf("inflate: %w", err)
	case cap(out) > maxScratch: // too big for the pool: it goes to the caller
		return out, nil
	}
	f.scratch = out
	return bytes.Clone(out), nil
}

func (f *inflater) reset(src []byte) error {
	f.src.Reset(src)
	if f.zr != nil {
		return f.zr.(zlib.Resetter).Reset(&f.src, nil)
	}
	zr, err := zlib.NewReader(&f.src)
	if err == nil {
		f.zr = zr
	}
	return err
}

// readAll reads to the end of the stream, at most limit bytes of it.
func (f *inflater) readAll(limit int) ([]byte, error) {
	out := f.scratch[:0]
	for {
		if len(out) > limit {
			return nil, ErrInflateLimit
		}
		if len(out) == cap(out) {
			out = grow(out, limit)
		}
		n, err := f.zr.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if errors.Is(err, io.EOF) {
			if len(out) > limit {
				return nil, ErrInflateLimit
			}
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// grow makes room, but never for more than one byte beyond the limit, which
// suffices to see it passed. Near the limit it goes there at once: one more step
// would cost as much again.
func grow(b []byte, limit int) []byte {
	size := max(1<<10, scratchGrowth*cap(b))
	if size > limit/2 {
		size = limit + 1
	}
	bigger := make([]byte, len(b), max(size, len(b)+1))
	copy(bigger, b)
	return bigger
}

// release lets go of the caller's bytes before the inflater is pooled.
func (f *inflater) release() {
	f.src.Reset(nil)
	inflaters.Put(f)
}
