package cluster

import (
	"context"
	"errors"
	"sync"
)

// userSubscriptions holds what a frontend subscribed to for its users.
type userSubscriptions struct {
	mu     sync.Mutex // guards what follows
	users  map[string]*userSubscription
	closed bool
}

// userSubscription counts the sessions of a user, because the next one of a
// user binds before the last one has closed.
type userSubscription struct {
	sessions int
	cancels  []cancelFunc
}

// SubscribeUser makes pushes and kicks for uid, from any server of the cluster,
// reach this frontend's UserHandler (wire.md 10.3). It waits for nothing: while
// NATS is away it takes effect with the reconnect. Every SubscribeUser that
// returned nil needs one UnsubscribeUser. Errors: those of CheckUID, and
// Unavailable after Shutdown.
func (s *RPCServer) SubscribeUser(uid string) error {
	if err := s.CheckUser(uid); err != nil {
		return err
	}
	subs := []subscription{
		{subject: s.subjects.userPush(s.self.Type, uid), deliver: s.receivePush, mode: deliverShared},
		{subject: s.subjects.userKick(s.self.Type, uid), deliver: s.receiveKick, mode: deliverShared},
	}
	return s.byUser.add(uid, func() ([]cancelFunc, error) { return s.subscribeAll(subs) })
}

// CheckUser reports why SubscribeUser would refuse uid; nil when it would not.
func (s *RPCServer) CheckUser(uid string) error {
	if err := CheckUID(uid); err != nil {
		return err
	}
	return checkSubject(s.subjects.userPush(s.self.Type, uid)) // the longest that has the uid
}

// Settle waits until every SubscribeUser that has returned is in effect. It
// fails while NATS is away, when there is nobody to wait for.
func (s *RPCServer) Settle(ctx context.Context) error { return s.transport.flush(ctx) }

// UnsubscribeUser undoes one SubscribeUser. A push that is on its way may still
// be handled.
func (s *RPCServer) UnsubscribeUser(uid string) error { return s.byUser.remove(uid) }

// subscribeAll subscribes to all of subs or to none.
func (s *RPCServer) subscribeAll(subs []subscription) ([]cancelFunc, error) {
	var cancels []cancelFunc
	for _, sub := range subs {
		cancel, err := s.transport.subscribe(sub)
		if err != nil {
			return nil, errors.Join(err, cancelAll(context.Background(), cancels))
		}
		cancels = append(cancels, cancel)
	}
	return cancels, nil
}

// add counts one more session of uid; the first one subscribes.
func (u *userSubscriptions) add(uid string, subscribe func() ([]cancelFunc, error)) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errStopped
	}
	user := u.users[uid]
	if user == nil {
		cancels, err := subscribe() // shared subscriptions only queue: nothing waits here
		if err != nil {
			return err
		}
		user = &userSubscription{cancels: cancels}
		u.users[uid] = user
	}
	user.sessions++
	return nil
}

// remove counts one session less; the last one unsubscribes.
func (u *userSubscriptions) remove(uid string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	user := u.users[uid]
	if user == nil {
		return nil
	}
	if user.sessions--; user.sessions > 0 {
		return nil
	}
	delete(u.users, uid)
	return cancelAll(context.Background(), user.cancels)
}

// close unsubscribes every user and refuses new ones.
func (u *userSubscriptions) close(ctx context.Context) error {
	u.mu.Lock()
	users := u.users
	u.users, u.closed = nil, true
	u.mu.Unlock()
	var err error
	for _, user := range users {
		err = errors.Join(err, cancelAll(ctx, user.cancels))
	}
	return err
}

func cancelAll(ctx context.Context, cancels []cancelFunc) error {
	var err error
	for _, cancel := range cancels {
		err = errors.Join(err, cancel(ctx))
	}
	return err
}
