package conformance_test

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/wirevectors"
)

// natsExceptions are the captures that cereus servers word differently among
// themselves. A Pitaya peer, which lists no capability, is sent what was
// captured: see TestVectorsTowardsPitaya.
var natsExceptions = map[string]string{
	"nats33_028_request":  "between our servers sys.pushsession carries what changed, not the whole data",
	"nats32_001_request":  "as nats33_028_request",
	"nats33_043_push":     "between our servers a session's push goes to the subject of its frontend",
	"nats33_046_push":     "so does a push to users",
	"nats33_049_push":     "so does a push to a user who is nowhere",
	"nats33_052_push":     "so does a push to a group",
	"nats32_009_request":  "between our servers sys.kick names the session, too",
	"nats33_079_response": "a callee does not answer when the time is over: its caller has noticed by itself (PIT-408)",
	"nats33_083_response": "as nats33_079_response",
	"nats33_082_response": "the time of a call shrinks over its hops, so that the nested call says PIT-408 first",
}

// sniffer keeps the meaning of everything that is said on NATS.
type sniffer struct {
	t    testing.TB
	mu   sync.Mutex // guards said
	said map[string]bool
}

func (w *world) sniff() *sniffer {
	w.t.Helper()
	s := &sniffer{t: w.t, said: make(map[string]bool)}
	sub, err := w.nats.Subscribe(">", func(m *nats.Msg) {
		for _, m := range unbundled(m) {
			if meaning, ok := meaningOf(m.Subject, m.Data); ok {
				s.mu.Lock()
				s.said[meaning] = true
				s.mu.Unlock()
			}
		}
	})
	require.NoError(w.t, err)
	require.NoError(w.t, sub.SetPendingLimits(-1, -1))
	require.NoError(w.t, w.nats.Flush())
	return s
}

// unbundled is what cereus servers would have sent to a Pitaya peer as several
// messages (wire.md, the last section).
func unbundled(m *nats.Msg) []*nats.Msg {
	inbox, _, ofRequests := strings.Cut(m.Reply, "~")
	prefix, ofReplies := strings.CutSuffix(m.Subject, "~")
	if !ofRequests && !ofReplies {
		return []*nats.Msg{m}
	}
	var all []*nats.Msg
	for rest := m.Data; len(rest) > 0; {
		token := string(rest[1 : 1+rest[0]])
		size, width := binary.Uvarint(rest[1+len(token):])
		body := rest[1+len(token)+width:][:size]
		rest = rest[1+len(token)+width:][size:]
		one := &nats.Msg{Subject: m.Subject, Reply: inbox + token, Data: body}
		if ofReplies {
			one = &nats.Msg{Subject: prefix + token, Data: body}
		}
		all = append(all, one)
	}
	return all
}

// check compares with the captures of the conversation that was replayed, by
// Pitaya v3 servers (nats33), v2 servers (nats23) and a v2 backend with a v3
// frontend (nats32). Left out: session ids, which depend on the order of
// connecting; request.id and req-start-time, which are new every time;
// reqTimeout, which shrinks over the hops here; opentracing-span, which v2 adds
// (wire.md 16); the fields of our own, 1000 and above, and the count of hops.
func (s *sniffer) check(t *testing.T) {
	t.Helper()
	for _, v := range wirevectors.Load(t, "live-nats") {
		if reason, ok := natsExceptions[v.Name]; ok {
			t.Logf("exception %s: %s", v.Name, reason)
			continue
		}
		meaning, ok := meaningOf(v.Subject, v.Bytes(t))
		require.True(t, ok, v.Name)
		require.Eventually(t, func() bool { // what a client saw may still be on its way here
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.said[meaning]
		}, patience, time.Millisecond, "%s: nobody said %q", v.Name, meaning)
	}
}

// meaningOf is a message in a form in which two recordings can be compared.
func meaningOf(subject string, data []byte) (string, bool) {
	switch {
	case strings.HasPrefix(subject, prefix+"servers/"):
		return requestMeaning(subject, data)
	case strings.HasPrefix(subject, "_INBOX."):
		var r clusterpb.Response
		return textOf("reply", data, &r, func() { r.Data, r.NotRun = []byte(withoutSID(r.GetData())), false })
	case strings.HasSuffix(subject, "/push") && !strings.HasPrefix(subject, prefix+"x/"):
		return textOf(subject, data, &clusterpb.Push{}, nil)
	case strings.HasSuffix(subject, "/kick"):
		return textOf(subject, data, &clusterpb.KickMsg{}, nil)
	case strings.HasSuffix(subject, "/bindings"):
		var b clusterpb.BindMsg
		return textOf(subject, data, &b, func() {
			uid, fid := b.GetUid(), b.GetFid()
			proto.Reset(&b)
			b.Uid, b.Fid = uid, fid
		})
	}
	return "", false
}

func requestMeaning(subject string, data []byte) (string, bool) {
	var r clusterpb.Request
	return textOf(subject, data, &r, func() {
		if r.Session != nil {
			r.Session.Id = 0
		}
		switch r.GetMsg().GetRoute() {
		case "sys.bindsession":
			var s clusterpb.Session
			if proto.Unmarshal(r.Msg.Data, &s) == nil {
				s.Id = 0
				r.Msg.Data, _ = proto.Marshal(&s)
			}
		}
		var meta map[string]any
		if json.Unmarshal(r.GetMetadata(), &meta) == nil {
			delete(meta, "opentracing-span")
			delete(meta, constants.HopsKey)
			for _, key := range []string{"request.id", "req-start-time", "reqTimeout"} {
				if _, ok := meta[key]; ok {
					meta[key] = "varies"
				}
			}
			r.Metadata, _ = json.Marshal(meta)
		}
		fields := r.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if fields.Get(i).Number() >= 1000 {
				r.ProtoReflect().Clear(fields.Get(i))
			}
		}
	})
}

// textOf decodes data, has it normalised and writes it down.
func textOf(subject string, data []byte, into proto.Message, normalise func()) (string, bool) {
	if proto.Unmarshal(data, into) != nil {
		return "", false
	}
	if normalise != nil {
		normalise()
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(into)
	return subject + " " + string(b), err == nil
}
