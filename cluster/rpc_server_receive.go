package cluster

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// errMalformed answers bytes that are not a request. Pitaya keeps silent
// (wire.md 9.5), which lets the caller wait for its timeout.
var errMalformed = errs.New(errs.CodeBadRequest, "the request cannot be decoded, or has no message")

// receiveRequest hands what a message asks to the handler.
func (s *RPCServer) receiveRequest(m message) {
	if s.still.passed(m) {
		return
	}
	now := time.Now()
	received := now.Add(-s.still.age(now))
	if m.reply != "" && !isReplyInbox(m.reply) {
		s.metrics.CountRPC(EventForeignMail)
		m.reply = ""
	}
	inbox, bundled := cutBundle(m.reply)
	if !bundled {
		s.serve(m, "", received)
		return
	}
	bundle := inbox + bundleMark
	err := eachBundled(m.data, func(token, body []byte) {
		s.serve(message{reply: inbox + string(token), data: bytes.Clone(body)}, bundle, received)
	})
	if err != nil {
		s.metrics.CountRPC(EventMalformed)
	}
}

// serve hands one request to the handler.
func (s *RPCServer) serve(m message, bundle string, received time.Time) {
	arrived := new(arrival)
	if err := arrived.decode(m.data); err != nil {
		s.metrics.CountRPC(EventMalformed)
		if m.reply != "" {
			s.answer(m.reply, bundle, errorResponse(errMalformed), time.Time{})
		}
		return
	}
	in := &arrived.in
	in.Request, in.Received, in.server, in.reply, in.bundle = &arrived.request, received, s, m.reply, bundle
	s.open.begin()
	defer func() {
		if cause := recover(); cause != nil {
			s.panicked("request", cause)
			in.Reply(errorResponse(errs.New(errs.CodeInternal, fmt.Sprint(cause))))
		}
	}()
	s.handler.ServeRequest(in)
}

func (s *RPCServer) receivePush(m message) {
	var push clusterpb.Push
	if s.decode(m.data, &push) && !push.GetCopied() {
		s.guard("push", func() { s.users.HandlePush(&push) })
	}
}

func (s *RPCServer) receiveKick(m message) {
	var kick clusterpb.KickMsg
	if !s.decode(m.data, &kick) || kick.GetCopied() {
		return
	}
	if uid := kick.GetUserId(); uid != "" {
		kick.Uids = append(kick.Uids, uid)
	}
	s.guard("kick", func() { s.users.HandleKick(&kick) })
}

func (s *RPCServer) receiveBind(m message) {
	var bind clusterpb.BindMsg
	if s.decode(m.data, &bind) {
		s.guard("bind", func() { s.users.HandleBind(&bind) })
	}
}

func (s *RPCServer) decode(data []byte, into proto.Message) bool {
	if err := proto.Unmarshal(data, into); err != nil {
		s.metrics.CountRPC(EventMalformed)
		return false
	}
	return true
}

// guard calls user code.
func (s *RPCServer) guard(what string, call func()) {
	defer func() {
		if cause := recover(); cause != nil {
			s.panicked(what, cause)
		}
	}()
	call()
}

func (s *RPCServer) panicked(what string, cause any) {
	s.metrics.CountRPC(EventPanic)
	s.log.WithField("what", what).WithField("panic", cause).WithField("stack", string(debug.Stack())).Error("handler panicked")
}

// awaitAnswers waits until every request is finished.
func (s *RPCServer) awaitAnswers(ctx context.Context) error {
	if err := s.open.wait(ctx); err != nil {
		return fmt.Errorf("%d requests are not answered: %w", s.open.n.Load(), err)
	}
	return nil
}
