package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/errs"
)

const (
	// DefaultBucket is the default of JetStreamParams.Bucket (config key
	// groups.jetstream.bucket).
	DefaultBucket = "cereus_groups"
	// markerTTL is how long NATS keeps telling that something ended.
	markerTTL = time.Minute
	// overdueAfter is how long after its ttl the key of a server is ended by whoever
	// follows, if NATS did not, and overdueAgain the pause between attempts.
	// overdueTick is how often that is looked at.
	overdueAfter = 200 * time.Millisecond
	overdueAgain = time.Second
	overdueTick  = 100 * time.Millisecond
	// tombstoneTTL is how long what happened to a group that ended is kept.
	tombstoneTTL = 10 * time.Minute
)

// errTakesTTL: an older NATS, or a bucket that somebody made otherwise.
var errTakesTTL = errors.New("the bucket takes no ttl per key: NATS 2.11 or newer is needed, and a bucket that this store made itself")

// JetStreamParams configure [NewJetStreamStore].
type JetStreamParams struct {
	// Conn is connected to NATS 2.11 or newer with JetStream. It stays the caller's,
	// who closes it after Stop.
	Conn *nats.Conn
	// Bucket is the key-value bucket, made when it is not there: a name out of A-Z
	// a-z 0-9 _ and -; [DefaultBucket] when empty.
	Bucket string
	// Replicas is how many NATS servers a new bucket is kept on, 1 to 5; 1 when zero.
	Replicas int
	// Timeout bounds every operation; [DefaultTransactionTimeout] when zero.
	Timeout time.Duration
	// Self is this server, which can hold members between Start and Stop; nobody
	// when zero.
	Self Holder
	// TTL is how long this server holds members after it died, in whole seconds:
	// that of its registration; [DefaultTTL] when zero. A server that cannot reach
	// NATS for that long, less a second, counts as dead: what it held is gone.
	TTL time.Duration
	// Log may be nil.
	Log logrus.FieldLogger
}

// NewJetStreamStore returns a Store that the whole cluster shares. A group is
// one value of the bucket: joins of one group follow each other, and it has to
// fit into one NATS message (some ten thousand members, [ErrFull]). Use etcd for
// larger ones. Every server that uses the bucket follows it, and ends what dead
// servers held. It does no I/O before Start, which it needs. When NATS cannot be reached its
// methods fail with errs.CodeUnavailable; what they were about to do may then
// have been done.
func NewJetStreamStore(p JetStreamParams) *JetStreamStore {
	if p.Bucket == "" {
		p.Bucket = DefaultBucket
	}
	if p.Timeout <= 0 {
		p.Timeout = DefaultTransactionTimeout
	}
	if p.TTL <= 0 {
		p.TTL = DefaultTTL
	}
	p.TTL = (p.TTL + time.Second - 1).Truncate(time.Second)
	if p.TTL > 3*time.Second {
		p.TTL -= time.Second // NATS looks at ttls about once a second, and others take the members out
	}
	return &JetStreamStore{params: p, turns: turns{waiting: map[string]*turn{}}}
}

// JetStreamStore is the Store that [NewJetStreamStore] returns.
type JetStreamStore struct {
	params JetStreamParams
	turns  turns
	jetStreamRun
}

var _ Store = (*JetStreamStore)(nil)

var errJetStreamTimeout = errors.New("NATS did not answer in time")

func (j *JetStreamStore) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, j.params.Timeout, errJetStreamTimeout)
}

// open finds the bucket, or makes it.
func (j *JetStreamStore) open(ctx context.Context) error {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	js, err := jetstream.New(j.params.Conn)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "KV_"+j.params.Bucket)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, j.streamConfig())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another server was first
			stream, err = js.Stream(ctx, "KV_"+j.params.Bucket)
		}
	}
	if err != nil {
		return j.failure(ctx, err)
	}
	if c := stream.CachedInfo().Config; !c.AllowMsgTTL || c.SubjectDeleteMarkerTTL == 0 || c.MaxMsgsPerSubject != 1 {
		return fmt.Errorf("group: bucket %s: %w", j.params.Bucket, errTakesTTL)
	}
	kv, err := js.KeyValue(ctx, j.params.Bucket)
	if err != nil {
		return j.failure(ctx, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.js, j.stream, j.bucket, j.made = js, stream, kv, stream.CachedInfo().Created
	return nil
}

// streamConfig is that of a key-value bucket, but without direct reads: those
// may be answered by a replica that lags behind what was acknowledged.
func (j *JetStreamStore) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + j.params.Bucket, Description: "groups of cereus",
		Subjects:          []string{"$KV." + j.params.Bucket + ".>"},
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, Replicas: max(j.params.Replicas, 1),
		AllowRollup: true, DenyDelete: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: markerTTL,
	}
}

// value is what stands at a key.
type value struct {
	data     []byte // nil: nothing
	revision uint64 // to be compared when it is written; also of what was deleted
}

func (j *JetStreamStore) get(ctx context.Context, key string) (value, error) {
	stream, err := j.opened()
	if err != nil {
		return value{}, err
	}
	msg, err := stream.GetLastMsgForSubject(ctx, j.subject(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return value{}, nil
	case err != nil:
		return value{}, j.failure(ctx, err)
	case msg.Header.Get("KV-Operation") != "" || msg.Header.Get(jetstream.MarkerReasonHeader) != "":
		return value{revision: msg.Sequence}, nil
	}
	return value{data: msg.Data, revision: msg.Sequence}, nil
}

// there reports whether something stands at a key.
func (j *JetStreamStore) there(ctx context.Context, key string) (bool, error) {
	v, err := j.get(ctx, key)
	return v.data != nil, err
}

// errChanged: a value was written by another since it was read.
var errChanged = errors.New("group: the value changed")

// put writes a value, with a ttl if that is above zero.
func (j *JetStreamStore) put(ctx context.Context, key string, data []byte, ttl time.Duration, opts ...jetstream.PublishOpt) error {
	j.mu.Lock()
	js := j.js
	j.mu.Unlock()
	if js == nil {
		return ErrNotRunning
	}
	if ttl > 0 {
		opts = append(opts, jetstream.WithMsgTTL((ttl + time.Second - 1).Truncate(time.Second)))
	}
	_, err := js.PublishMsg(ctx, &nats.Msg{Subject: j.subject(key), Data: data}, opts...)
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return errChanged
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrFull
	}
	return j.failure(ctx, err)
}

// remove takes a key away; NATS tells so for a while.
func (j *JetStreamStore) remove(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	j.mu.Lock()
	kv := j.bucket
	j.mu.Unlock()
	if kv == nil {
		return ErrNotRunning
	}
	return kv.Purge(ctx, key, append(opts, jetstream.PurgeTTL(markerTTL))...)
}

func (j *JetStreamStore) subject(key string) string { return "$KV." + j.params.Bucket + "." + key }

func (j *JetStreamStore) opened() (jetstream.Stream, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stream == nil {
		return nil, ErrNotRunning
	}
	return j.stream, nil
}

// failure says what an error of NATS means to a caller.
func (j *JetStreamStore) failure(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errJetStreamTimeout):
		return errs.Wrap(errs.CodeUnavailable, fmt.Errorf("group: %w: %w", cause, err))
	case cause != nil:
		return fmt.Errorf("group: %w", cause)
	}
	return errs.Wrap(errs.CodeUnavailable, fmt.Errorf("group: JetStream: %w", err))
}
