package serializer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cereus-game/cereus/serializer"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	s := serializer.JSON()
	require.Equal(t, "json", s.Name())

	type score struct {
		Name string `json:"name"`
		Gold int64  `json:"gold"`
	}
	data, err := s.Marshal(score{"<bob>", 1<<62 + 1})
	require.NoError(t, err)
	want := `{"name":"\u003cbob\u003e","gold":4611686018427387905}`
	require.Equal(t, want, string(data), "byte for byte, the escapes too")

	var got score
	require.NoError(t, s.Unmarshal(data, &got))
	require.Equal(t, score{"<bob>", 1<<62 + 1}, got)

	_, err = s.Marshal(make(chan int))
	require.Error(t, err)
	require.EqualError(t, s.Unmarshal(nil, &got), "unexpected end of JSON input")
}

func TestProtobuf(t *testing.T) {
	t.Parallel()
	s := serializer.Protobuf()
	require.Equal(t, "protobuf", s.Name())

	data, err := s.Marshal(wrapperspb.String("hi"))
	require.NoError(t, err)
	require.Equal(t, []byte{0x0a, 2, 'h', 'i'}, data)

	got := new(wrapperspb.StringValue)
	require.NoError(t, s.Unmarshal(data, got))
	require.Equal(t, "hi", got.Value)
	require.Error(t, s.Unmarshal([]byte{0x0a}, got))

	_, err = s.Marshal("hi")
	require.ErrorIs(t, err, serializer.ErrNotMessage)
	require.EqualError(t, s.Unmarshal(data, new(string)), "protobuf: convert on wrong type value")
}
