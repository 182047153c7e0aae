package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

func TestEncodeError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, serializer string
		in               *errs.Error
		want             string
	}{
		{"json", "json", errs.New("PIT-404", "route not found").With("route", "a.b"),
			`{"code":"PIT-404","msg":"route not found","metadata":{"route":"a.b"}}`},
		{"json escapes HTML", "json", errs.New("PIT-000", "boom <&>"), `{"code":"PIT-000","msg":"boom \u003c\u0026\u003e"}`},
		{"json without a message", "json", errs.New(errs.CodeBusy, ""), `{"code":"PIT-503","msg":"server busy, try again later"}`},
		{"json without anything", "json", &errs.Error{}, `{"code":"PIT-000","msg":"internal error"}`},
		{"json sorts metadata", "json", errs.New("A", "m").With("b", "2").With("a", "1"), `{"code":"A","msg":"m","metadata":{"a":"1","b":"2"}}`},
		{"any other serializer", "msgpack", errs.New("A", "m"), `{"code":"A","msg":"m"}`},
		{"protobuf", "protobuf", errs.New("A", "m").With("b", "2").With("a", "1"),
			"\x0a\x01A\x12\x01m\x1a\x06\x0a\x01a\x12\x011\x1a\x06\x0a\x01b\x12\x012"},
		{"protobuf without anything", "protobuf", &errs.Error{}, "\x0a\x07PIT-000\x12\x0einternal error"},
		{"protobuf with broken UTF-8", "protobuf", errs.New("A", "x\xff"), "\x0a\x01A\x12\x04x\uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := protocol.EncodeError(tt.serializer, tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(b))
			got, err := protocol.DecodeError(tt.serializer, b)
			require.NoError(t, err)
			require.Equal(t, tt.in.Metadata, got.Metadata)
			require.ErrorIs(t, got, errs.New(got.Code, ""))
		})
	}
	_, err := protocol.EncodeError("json", nil)
	require.Error(t, err)
}

func TestDecodeErrorIsTolerant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, serializer, in string
		want                 *errs.Error // nil: refused
	}{
		// wire.md's vector msg_response_error_json_emptymsg is not in the file
		{"no message", "json", `{"code":"PIT-404"}`, &errs.Error{Code: "PIT-404", Message: "not found"}},
		{"no code", "json", `{"msg":"x"}`, &errs.Error{Code: "PIT-000", Message: "x"}},
		{"nothing", "json", `{}`, &errs.Error{Code: "PIT-000", Message: "internal error"}},
		{"null", "json", `null`, &errs.Error{Code: "PIT-000", Message: "internal error"}},
		{"null parts", "json", `{"code":null,"msg":null,"metadata":null}`, &errs.Error{Code: "PIT-000", Message: "internal error"}},
		{"metadata as text", "json", `{"code":"A","msg":"m","metadata":""}`, &errs.Error{Code: "A", Message: "m"}},
		{"odd metadata", "json", `{"code":"A","msg":"m","metadata":{"n":1,"o":{"x":null},"s":"t"}}`,
			&errs.Error{Code: "A", Message: "m", Metadata: map[string]string{"n": "1", "o": `{"x":null}`, "s": "t"}}},
		{"capitalised", "json", `{"Code":"A","Msg":"m"}`, &errs.Error{Code: "A", Message: "m"}},
		{"empty", "json", ``, nil},
		{"not JSON", "json", `boom`, nil},
		{"code as number", "json", `{"code":500}`, nil},
		{"deep", "json", strings.Repeat("[", 100_000), nil},
		{"protobuf without message", "protobuf", "\x0a\x07PIT-404", &errs.Error{Code: "PIT-404", Message: "not found"}},
		{"protobuf with unknown fields", "protobuf", "\x08\x01\x22\x01z\x0a\x01A\x12\x01m", &errs.Error{Code: "A", Message: "m"}},
		{"protobuf map entry without value", "protobuf", "\x0a\x01A\x12\x01m\x1a\x03\x0a\x01k",
			&errs.Error{Code: "A", Message: "m", Metadata: map[string]string{"k": ""}}},
		{"protobuf empty", "protobuf", "", nil},
		{"protobuf cut", "protobuf", "\x0a\x07PIT", nil},
		{"protobuf broken tag", "protobuf", "\x80", nil},
		{"protobuf broken varint", "protobuf", "\x08\x80", nil},
		{"protobuf broken entry", "protobuf", "\x1a\x02\x0a\x09", nil},
		{"protobuf deep groups", "protobuf", strings.Repeat("\x23", 200_000), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.DecodeError(tt.serializer, []byte(tt.in))
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == nil, err != nil)
		})
	}
}
