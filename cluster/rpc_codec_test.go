package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/wirevectors"
)

// FuzzDecodeRequest holds our decoder to the results of the generated code.
func FuzzDecodeRequest(f *testing.F) {
	for _, v := range wirevectors.Load(f, "rpc-request", "live-nats", "rpc-behaviour", "protobuf") {
		f.Add(v.Bytes(f))
	}
	full, err := proto.Marshal(&clusterpb.Request{
		Type: 7, Msg: &clusterpb.Msg{Id: 1 << 60, Route: "a.b", Data: []byte("x"), Reply: "r", Type: 1}, FrontendID: "f",
		Session:  &clusterpb.Session{Id: -1, Uid: "u", Data: []byte("{}"), Changed: []byte(`{"a":null}`)},
		Metadata: []byte("{}"), OrderEpoch: 1, Sequence: 2, FrontendNonce: "n", RemainingUs: -3,
	})
	require.NoError(f, err)
	f.Add(full)
	f.Add(append(full, full...)) // fields twice: messages merge, the last scalar wins
	f.Fuzz(func(t *testing.T, data []byte) {
		want := new(clusterpb.Request)
		wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)
		got := new(arrival)
		gotErr := got.decode(data)
		if wantErr != nil {
			require.Error(t, gotErr)
			return
		}
		if want.Msg == nil {
			require.ErrorIs(t, gotErr, errNoMsg)
			return
		}
		require.NoError(t, gotErr)
		require.True(t, proto.Equal(want, &got.request), "%v\n%v", want, &got.request)
		encoded, err := appendRequest(nil, want)
		require.NoError(t, err)
		require.Equal(t, marshal(t, want), encoded)
	})
}

// FuzzDecodeResponse does the same for responses.
func FuzzDecodeResponse(f *testing.F) {
	for _, v := range wirevectors.Load(f, "rpc-request", "live-nats", "rpc-behaviour", "protobuf") {
		f.Add(v.Bytes(f))
		f.Add(v.ReplyBytes(f))
	}
	f.Add([]byte("\x91\x91\x91\x91000000000")) // a field number beyond the highest
	f.Add([]byte("\xf0\xf0\xf0\xf000"))        // a field number that there is not
	f.Add(marshal(f, &clusterpb.Response{Error: &clusterpb.Error{Code: "PIT-503", Msg: "busy"}, NotRun: true}))
	f.Fuzz(func(t *testing.T, data []byte) {
		want, got := new(clusterpb.Response), new(clusterpb.Response)
		wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)
		gotErr := unmarshalResponse(data, got)
		require.Equal(t, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)
		if wantErr == nil {
			if got.Error != nil {
				got.Error.ProtoReflect().SetUnknown(nil)
			}
			require.True(t, proto.Equal(want, got), "%v\n%v", want, got)
			encoded, err := appendResponse(nil, want)
			require.NoError(t, err)
			again := new(clusterpb.Response) // the order of a map is any
			require.NoError(t, proto.Unmarshal(encoded, again))
			require.True(t, proto.Equal(want, again), "%v\n%v", want, again)
			require.Len(t, encoded, proto.Size(want))
		}
	})
}

func TestTextsThatProtobufCannotCarry(t *testing.T) {
	t.Parallel()
	const bad = "\xff"
	for _, m := range []proto.Message{
		&clusterpb.Request{FrontendID: bad}, &clusterpb.Request{FrontendNonce: bad},
		&clusterpb.Request{Msg: &clusterpb.Msg{Route: bad}}, &clusterpb.Request{Msg: &clusterpb.Msg{Reply: bad}},
		&clusterpb.Request{Session: &clusterpb.Session{Uid: bad}},
		&clusterpb.Response{Error: &clusterpb.Error{Msg: bad}},
	} {
		_, err := proto.Marshal(m)
		require.Error(t, err)
		_, err = appendMessage(nil, m)
		require.Error(t, err)
	}
}
