package conformance_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/wirevectors"
)

// rpcExceptions are the requests that are not answered as recorded, what is
// expected instead, and why.
var rpcExceptions = map[string]struct {
	reason string
	data   string
	code   errs.Code
}{
	"rpcbeh_metadata_null":                               {reason: "the server crashed: bad metadata is an error reply", code: errs.CodeUnavailable},
	"rpcbeh_reqtimeout_number_last_may_crash_the_server": {reason: "the server crashed: bad metadata is an error reply", code: errs.CodeUnavailable},
	"rpcbeh_no_msg":                                      {reason: "no reply was sent, the caller waited for its timeout: an error reply", code: errs.CodeBadRequest},
	"rpcbeh_empty_payload":                               {reason: "no reply was sent, the caller waited for its timeout: an error reply", code: errs.CodeBadRequest},
	"rpcbeh_otel_span_not_object_user_rpc":               {reason: "upstream bug (wire.md 9.3): the remote failed by reflection, ours runs", data: "\n\x0chi from room"},
}

// sid is the id of the session. Pitaya's backends show a counter of their own
// there, which says how many requests came before; ours show the id on the
// frontend, and which that is depends on the order of connecting.
var sid = regexp.MustCompile(`"sid":\d+`)

func withoutSID(b []byte) string { return sid.ReplaceAllString(string(b), `"sid":0`) }

// TestVectorsRPCBehaviour sends every recorded request of the group
// rpc-behaviour over NATS and compares the replies. "sid" is left out, see sid.
func TestVectorsRPCBehaviour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, _ := w.pair("back-x", nil)
	session1 := dial(t, front.addr, nil) // the requests to the frontend concern session 1
	session1.handshake()

	for _, v := range wirevectors.Load(t, "rpc-behaviour") {
		answer, err := w.nats.Request(v.Subject, v.Bytes(t), patience)
		require.NoError(t, err, v.Name)
		var got clusterpb.Response
		require.NoError(t, proto.Unmarshal(answer.Data, &got), v.Name)
		if e, ok := rpcExceptions[v.Name]; ok {
			t.Logf("exception %s: %s", v.Name, e.reason)
			require.Equal(t, e.data, string(got.GetData()), v.Name)
			require.Equal(t, string(e.code), got.GetError().GetCode(), v.Name)
			require.Equal(t, e.code != "", got.GetError().GetMsg() != "", v.Name)
			continue
		}
		var want clusterpb.Response
		require.NotNil(t, v.ReplyHex, "%s has no reply and is no exception", v.Name)
		require.NoError(t, proto.Unmarshal(v.ReplyBytes(t), &want), v.Name)
		want.Data, got.Data = []byte(withoutSID(want.GetData())), []byte(withoutSID(got.GetData()))
		require.Equal(t, asJSON(t, &want), asJSON(t, &got), v.Name)
		require.Empty(t, got.ProtoReflect().GetUnknown(), v.Name)
	}
}
