package group

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// retryPause is the most that a writer waits whom another was faster than.
const retryPause = 10 * time.Millisecond

// errAsItIs: there is nothing to write.
var errAsItIs = errors.New("group: nothing changes")

// find reads a group: nil when it is not there. What is left of it has to be
// known to make it anew.
func (j *JetStreamStore) find(ctx context.Context, name string) (d, left *document, revision uint64, err error) {
	v, err := j.get(ctx, groupKey(name))
	if err != nil {
		return nil, nil, 0, err
	}
	d = parseDocument(v.data)
	if d == nil || d.Ended {
		return nil, d, v.revision, nil
	}
	if alive, err := j.alive(ctx, d); err != nil || !alive {
		return nil, d, v.revision, err
	}
	return d, d, v.revision, nil
}

// alive reports whether the ttl of a group has not run out.
func (j *JetStreamStore) alive(ctx context.Context, d *document) (bool, error) {
	if d.Life == "" {
		return true, nil
	}
	return j.there(ctx, lifeKey(d.Life))
}

// read is find for those who only read.
func (j *JetStreamStore) read(ctx context.Context, name string) (*document, error) {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	d, _, _, err := j.find(ctx, name)
	if err == nil && d == nil {
		err = ErrNotFound
	}
	return d, err
}

// change has fn change a group that is there, and writes it unless fn fails.
// When another was faster fn is called again.
func (j *JetStreamStore) change(ctx context.Context, name string, fn func(d *document) error) error {
	return j.edit(ctx, name, func(d, _ *document) (*document, error) {
		if d == nil {
			return nil, ErrNotFound
		}
		if err := fn(d); err != nil {
			return nil, err
		}
		return d, nil
	})
}

// edit is change for a group that need not be there. What fn returns is
// written, when it is not nil, and then fn's error returned.
func (j *JetStreamStore) edit(ctx context.Context, name string, fn func(d, left *document) (*document, error)) error {
	done, err := j.turns.take(ctx, name)
	if err != nil {
		return j.failure(ctx, err)
	}
	defer done()
	for {
		d, left, revision, err := j.find(ctx, name)
		if err != nil {
			return err
		}
		next, told := fn(d, left)
		if next == nil {
			return told
		}
		if err = j.write(ctx, name, next, revision); err == nil {
			return told
		}
		if !errors.Is(err, errChanged) {
			return err
		}
		pause(ctx, rand.N(retryPause))
		if ctx.Err() != nil {
			return j.failure(ctx, err)
		}
	}
}

func (j *JetStreamStore) write(ctx context.Context, name string, d *document, revision uint64) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	ttl := time.Duration(0)
	if d.Ended {
		ttl = tombstoneTTL
	}
	return j.put(ctx, groupKey(name), data, ttl, jetstream.WithExpectLastSequencePerSubject(revision))
}

// Create implements [Directory].
func (j *JetStreamStore) Create(ctx context.Context, name string, ttl time.Duration) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	life := ""
	if ttl > 0 { // before the group: one that is seen without it has ended
		life = nuid.Next()
		if err := j.put(ctx, lifeKey(life), []byte("1"), ttl); err != nil {
			return err
		}
	}
	err := j.edit(ctx, name, func(d, left *document) (*document, error) {
		if d != nil {
			return nil, ErrExists
		}
		d = &document{Origin: nuid.Next(), Members: map[string]*documentMember{}}
		if left != nil {
			d.Origin, d.Changes, d.Notes = left.Origin, left.Changes, left.Notes
			if !left.Ended {
				d.change(noteEnded, "")
			}
		}
		d.Life, d.TTL = life, int64(ttl)
		return d, nil
	})
	if errors.Is(err, ErrExists) && life != "" {
		_ = j.remove(ctx, lifeKey(life)) // it ends by itself, too
	}
	return err
}

// Delete implements [Directory].
func (j *JetStreamStore) Delete(ctx context.Context, name string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	life := ""
	err := j.change(ctx, name, func(d *document) error {
		life = d.Life
		d.end()
		return nil
	})
	if err == nil && life != "" {
		_ = j.remove(ctx, lifeKey(life)) // it ends by itself, too
	}
	return err
}

// Clear implements [Directory].
func (j *JetStreamStore) Clear(ctx context.Context, name string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.change(ctx, name, func(d *document) error {
		clear(d.Members)
		d.change(noteClear, "")
		return nil
	})
}

// Renew implements [Directory].
func (j *JetStreamStore) Renew(ctx context.Context, name string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	for {
		d, _, _, err := j.find(ctx, name)
		switch {
		case err != nil:
			return err
		case d == nil:
			return ErrNotFound
		case d.Life == "":
			return ErrNoTTL
		}
		life, err := j.get(ctx, lifeKey(d.Life))
		if err != nil {
			return err
		}
		if life.data != nil {
			// Compared, because a life that ended must not come back.
			err = j.put(ctx, lifeKey(d.Life), life.data, time.Duration(d.TTL), jetstream.WithExpectLastSequencePerSubject(life.revision))
		}
		if life.data != nil && !errors.Is(err, errChanged) {
			return err
		}
	}
}

// Add implements [Roster].
func (j *JetStreamStore) Add(ctx context.Context, name string, m Member) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	if err := j.holds(ctx, m.Holder); err != nil {
		return err
	}
	a := added{name: name, holder: m.Holder}
	err := j.edit(ctx, name, func(d, _ *document) (*document, error) {
		if d == nil {
			return nil, ErrNotFound
		}
		before := d.Changes
		a.written = false
		err := d.add(m)
		if d.Changes == before {
			return nil, err
		}
		a.life, a.written = d.Life, true // of the last attempt
		return d, err
	})
	if !a.written || err != nil && !errors.Is(err, ErrMemberExists) {
		return err
	}
	if gone := j.confirm(ctx, a); gone != nil {
		return gone
	}
	return err
}

// added is an Add that changed something.
type added struct {
	name, life string
	holder     Holder
	written    bool
}

// confirm looks whether the group and the holder were still there when the
// member was written: it then holds, or ends with them.
func (j *JetStreamStore) confirm(ctx context.Context, a added) error {
	if a.life != "" {
		alive, err := j.there(ctx, lifeKey(a.life))
		if err != nil {
			return err
		}
		if !alive {
			return ErrNotFound
		}
	}
	err := j.holds(ctx, a.holder)
	if err != nil {
		j.doubt(a.name) // whoever followed may have looked before it was written
	}
	return err
}

// holds fails with ErrServerGone when a server cannot hold members.
func (j *JetStreamStore) holds(ctx context.Context, h Holder) error {
	if h == (Holder{}) {
		return nil
	}
	there, err := j.there(ctx, serverKey(h))
	if err == nil && !there {
		err = ErrServerGone
	}
	return err
}

// Remove implements [Roster].
func (j *JetStreamStore) Remove(ctx context.Context, name, uid string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.change(ctx, name, func(d *document) error {
		if d.Members[uid] == nil {
			return ErrMemberNotFound
		}
		d.remove(uid, noteLeft)
		return nil
	})
}

// Leave implements [Profiles]. hold is the number of the change that made it.
func (j *JetStreamStore) Leave(ctx context.Context, name, uid string, hold int64) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	err := j.change(ctx, name, func(d *document) error {
		if m := d.Members[uid]; m == nil || m.Hold != hold || m.holder() != j.params.Self {
			return errAsItIs
		}
		d.remove(uid, noteLeft)
		return nil
	})
	if errors.Is(err, errAsItIs) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// SetAttributes implements [Profiles].
func (j *JetStreamStore) SetAttributes(ctx context.Context, name, uid string, attributes map[string]string) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	return j.change(ctx, name, func(d *document) error {
		if d.Members[uid] == nil {
			return ErrMemberNotFound
		}
		d.Members[uid].Attributes = attributes
		return nil
	})
}

// Contains implements [Roster].
func (j *JetStreamStore) Contains(ctx context.Context, name, uid string) (bool, error) {
	d, err := j.read(ctx, name)
	return err == nil && d.Members[uid] != nil, err
}

// Count implements [Roster].
func (j *JetStreamStore) Count(ctx context.Context, name string) (int, error) {
	d, err := j.read(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return len(d.Members), nil
}

// Members implements [Roster].
func (j *JetStreamStore) Members(ctx context.Context, name string) ([]string, error) {
	d, err := j.read(ctx, name)
	if err != nil {
		return nil, err
	}
	return d.uids(), nil
}

// List implements [Profiles].
func (j *JetStreamStore) List(ctx context.Context, name string) ([]Member, error) {
	d, err := j.read(ctx, name)
	if err != nil {
		return nil, err
	}
	members := make([]Member, 0, len(d.Members))
	for _, uid := range d.uids() {
		members = append(members, d.Members[uid].member(uid))
	}
	return members, nil
}
