package cluster

import (
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// The publications below are fire and forget: nil means handed to NATS, not
// that anybody was there (wire.md 10.4). Each returns errs.ErrUnavailable while
// NATS is away, errs.ErrTooLarge beyond its payload limit, and what CheckUID
// returns for a uid that a subject cannot carry.

// PushToUser sends push to the frontend of frontendType that holds uid, on the
// subject that Pitaya uses. push.Uid is what the frontend goes by; empty, it is
// taken to be uid.
func (c *RPCClient) PushToUser(frontendType, uid string, push *clusterpb.Push) error {
	if err := c.checkUser(frontendType, uid); err != nil {
		return err
	}
	if push.GetUid() == "" {
		push = &clusterpb.Push{
			Route: push.GetRoute(), Uid: uid, Data: push.GetData(), Copied: push.GetCopied(), Session: push.GetSession(),
			Priority: push.GetPriority(), Key: push.GetKey(), Done: push.GetDone(),
		}
	}
	return c.send(c.subjects.userPush(frontendType, uid), push)
}

// KickUser asks the frontend of frontendType that holds uid to kick it, on the
// subject that Pitaya uses. kick.UserId is what the frontend goes by; empty, it
// is taken to be uid.
func (c *RPCClient) KickUser(frontendType, uid string, kick *clusterpb.KickMsg) error {
	if err := c.checkUser(frontendType, uid); err != nil {
		return err
	}
	if kick.GetUserId() == "" {
		kick = &clusterpb.KickMsg{UserId: uid, Copied: kick.GetCopied(), Reason: kick.GetReason(), Session: kick.GetSession()}
	}
	return c.send(c.subjects.userKick(frontendType, uid), kick)
}

// KickOnFrontends kicks each of kick.Uids that is connected to a frontend of
// frontendType, with one NATS message for all of them. Only cereus frontends
// listen.
func (c *RPCClient) KickOnFrontends(frontendType string, kick *clusterpb.KickMsg) error {
	return c.send(c.subjects.kickAll(frontendType), kick)
}

// AnnounceBind tells every server of frontendType which frontend holds a user now.
func (c *RPCClient) AnnounceBind(frontendType string, bind *clusterpb.BindMsg) error {
	return c.send(c.subjects.bindings(frontendType), bind)
}

// PushToFrontends sends push.Data to each of push.Uids that is connected to a
// frontend of frontendType, with one NATS message for all of them. Only cereus
// frontends listen.
func (c *RPCClient) PushToFrontends(frontendType string, push *clusterpb.Push) error {
	return c.send(c.subjects.pushAll(frontendType), push)
}

// PushToFrontend is PushToFrontends for the one frontend to.
func (c *RPCClient) PushToFrontend(to *Server, push *clusterpb.Push) error {
	return c.send(c.subjects.pushOne(to.Type, to.ID), push)
}

func (c *RPCClient) checkUser(frontendType, uid string) error {
	if frontendType == "" {
		return errs.New(errs.CodeBadRequest, "the type of the user's frontend is missing: a backend must name it")
	}
	return CheckUID(uid)
}

// send publishes m on subject.
func (c *RPCClient) send(subject string, m proto.Message) error {
	if err := checkSubject(subject); err != nil {
		return err
	}
	body, err := c.encode(m)
	if err != nil {
		return err
	}
	return c.transport.publish(outgoing{subject: subject, body: body})
}
