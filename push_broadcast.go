package cereus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// maxConditions bounds what a broadcast asks of every session.
const maxConditions = 8

// BroadcastOption changes whom a Broadcast is for.
type BroadcastOption func(*broadcastOptions)

type broadcastOptions struct {
	to  clusterpb.Everyone
	err error
}

// Unbound has a broadcast go also to clients that are not logged in yet: those
// whose handshake is over and whose session has no uid.
func Unbound() BroadcastOption { return func(o *broadcastOptions) { o.to.Unbound = true } }

// Where restricts a broadcast to sessions whose data has value under key, as the
// frontend has it: what a backend has set counts once it is saved. value is
// compared as JSON: texts, numbers and booleans by what they mean, objects and
// arrays byte by byte; nil is for sessions without the key. Several conditions, at
// most 8, have to hold all.
func Where(key string, value any) BroadcastOption {
	return func(o *broadcastOptions) {
		raw, err := json.Marshal(value)
		if err != nil {
			o.err = errors.Join(o.err, fmt.Errorf("condition %q: %w", key, err))
			return
		}
		o.to.Where = append(o.to.Where, &clusterpb.Condition{Key: key, Value: raw})
	}
}

// Broadcast sends p to every user on the frontends of the type, with one NATS
// message for all of them. Each session that is there all the time gets one copy.
// It returns the ids of the type's frontends that no broadcast reaches, which are
// Pitaya's. Like Push it does not wait to hear whether it arrived. While NATS is
// away it is Unavailable; a frontend's own users have got it then.
func (a *App) Broadcast(ctx context.Context, p Push, opts ...BroadcastOption) (unreached []string, err error) {
	frontendType, err := a.frontendType(p.FrontendType)
	if err != nil {
		return nil, err
	}
	var o broadcastOptions
	for _, opt := range opts {
		opt(&o)
	}
	switch {
	case o.err != nil:
		return nil, errs.Wrap(errs.CodeBadRequest, o.err)
	case len(o.to.GetWhere()) > maxConditions:
		return nil, errs.New(errs.CodeBadRequest, "a broadcast has at most 8 conditions: keep what they mean under one key")
	}
	return a.dispatcher.Broadcast(ctx, frontendType, p.parcel(), &o.to)
}
