package cluster

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// Incoming is one request that arrived.
type Incoming struct {
	Request  *clusterpb.Request // never nil, nor is its Msg; its byte fields are the holder's to keep
	Received time.Time          // when it was read, or may have come while this process stood still, with a monotonic clock reading
	Deadline time.Time          // when the caller stops waiting; zero: not known. Set it before Reply

	server   *RPCServer
	reply    string
	bundle   string // where its reply may be sent with others; empty: nowhere
	finished atomic.Bool
	watched  atomic.Bool // by OnCancel
}

// Wanted reports whether a reply would go anywhere: false without a reply
// subject, and after Reply or Discard.
func (in *Incoming) Wanted() bool { return in.reply != "" && !in.finished.Load() }

// Reply answers the request, from any goroutine. Only the first Reply or
// Discard has an effect. A response larger than NATS accepts is replaced by an
// errs.CodeTooLarge error. What cannot be sent because this server is off NATS is
// sent when it is back, until Deadline.
func (in *Incoming) Reply(resp *clusterpb.Response) {
	if !in.finished.CompareAndSwap(false, true) {
		return
	}
	in.unwatch()
	if in.reply != "" {
		in.server.answer(in.reply, in.bundle, resp, in.Deadline)
	}
	in.server.open.done()
}

// Discard ends the request without an answer, for one that nobody waits for any
// more.
func (in *Incoming) Discard() {
	if in.finished.CompareAndSwap(false, true) {
		in.unwatch()
		in.server.open.done()
	}
}

// answer publishes resp where reply says, or in a bundle, until deadline at the latest.
func (s *RPCServer) answer(reply, bundle string, resp *clusterpb.Response, deadline time.Time) {
	body, err := s.buffers.encode(resp)
	if err != nil { // a string that is not UTF-8
		body, err = s.buffers.encode(errorResponse(errs.Wrap(errs.CodeInternal, err)))
	} else if limit := s.transport.status().maxPayload; limit > 0 && len(body.b) > limit {
		body.release()
		s.metrics.CountRPC(EventTooLarge)
		body, err = s.buffers.encode(errorResponse(errReplyTooLarge))
	}
	if err != nil {
		s.log.WithError(err).Error("reply cannot be encoded")
		return
	}
	err = s.transport.publish(outgoing{
		subject: reply, bundle: bundle, body: body, lone: s.open.n.Load() <= 1,
		keeper: s.kept, until: s.kept.deadline(deadline),
	})
	if err != nil {
		s.metrics.CountRPC(EventUndelivered)
	}
}

var errReplyTooLarge = errs.New(errs.CodeTooLarge,
	"the reply is larger than NATS accepts: send less, or raise max_payload")

func errorResponse(err *errs.Error) *clusterpb.Response {
	return &clusterpb.Response{Error: &clusterpb.Error{
		Code: string(err.Code), Msg: strings.ToValidUTF8(err.Error(), "\uFFFD"), Metadata: err.Metadata,
	}}
}

// isReplyInbox reports whether subject may be replied to: the inbox of a NATS
// client and nothing else, so that a request cannot make this server publish
// just anywhere.
func isReplyInbox(subject string) bool {
	return len(subject) > len(inboxPrefix) && strings.HasPrefix(subject, inboxPrefix) && checkSubject(subject) == nil
}

// openRequests counts the requests that are not finished.
type openRequests struct {
	n    atomic.Int64
	mu   sync.Mutex    // guards idle
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

func (o *openRequests) begin() { o.n.Add(1) }

func (o *openRequests) done() {
	if o.n.Add(-1) > 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle != nil && o.n.Load() == 0 {
		close(o.idle)
		o.idle = nil
	}
}

// wait returns nil once nothing is open.
func (o *openRequests) wait(ctx context.Context) error {
	o.mu.Lock()
	if o.n.Load() == 0 {
		o.mu.Unlock()
		return nil
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
