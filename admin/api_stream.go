package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// lastWrite is how long what is being written, and the end of a stream that went
// well, may take when it is over.
const lastWrite = time.Second

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // of one write
	buf     []byte        // not written yet
	failed  bool
}

func newStream(w http.ResponseWriter, timeout time.Duration) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), timeout: timeout}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform") // a proxy that compresses holds back
	h.Set("X-Accel-Buffering", "no")
	return s
}

// cutWith has a write that hangs fail soon after ctx ends; one that does not hang
// is finished, or its reader could not tell the end from a broken connection. The
// function that it returns ends that, and gives the end of the response its time.
func (s *stream) cutWith(ctx context.Context) (release func()) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = s.control.SetWriteDeadline(time.Now().Add(lastWrite))
	})
	return func() {
		if !stop() {
			<-cut
		}
		if !s.failed {
			_ = s.control.SetWriteDeadline(time.Now().Add(lastWrite))
		}
	}
}

// begin tells the client that it is heard, and when to come back.
func (s *stream) begin() {
	s.buf = append(s.buf, "retry: "...)
	s.buf = strconv.AppendInt(s.buf, int64(comeBackAfter()), 10)
	s.buf = append(s.buf, "\n\n"...)
}

// append adds an event; without an id the client keeps the one it has.
func (s *stream) append(kind, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil { // never: it is text and numbers
		return
	}
	s.buf = append(append(s.buf, "event: "...), kind...)
	if id != "" {
		s.buf = append(append(s.buf, "\nid: "...), id...)
	}
	s.buf = append(append(s.buf, "\ndata: "...), text...)
	s.buf = append(s.buf, "\n\n"...)
}

// heartbeat is a comment for proxies and readers, and an id without an event.
func (s *stream) heartbeat(id string) {
	s.buf = append(append(append(s.buf, ": still here\nid: "...), id...), "\n\n"...)
}

// flush sends what was appended. It fails when the client takes no more of it in
// time, or ctx ended; then nothing is to be sent any more.
func (s *stream) flush(ctx context.Context) error {
	err := s.control.SetWriteDeadline(time.Now().Add(s.timeout))
	// Only after the deadline, which may have replaced the one that the end of ctx set.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		_, err = s.w.Write(s.buf)
	}
	if err == nil {
		err = s.control.Flush()
	}
	s.buf = s.buf[:0]
	if cap(s.buf) > 2*listChunk {
		s.buf = nil
	}
	s.failed = err != nil
	return err
}
