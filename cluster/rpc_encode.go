package cluster

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// The two messages of every call are also encoded here, a field after the other,
// which costs a quarter of what the generated code needs. A fuzz test holds both
// to the same bytes. Unknown fields do not occur in what this process makes.

// errNotText is of a string that protobuf cannot carry.
var errNotText = errors.New("a text of the message is not UTF-8")

func appendRequest(dst []byte, r *clusterpb.Request) ([]byte, error) {
	if !utf8.ValidString(r.FrontendID) || !utf8.ValidString(r.FrontendNonce) || !validMsg(r.Msg) || !validSession(r.Session) {
		return dst, errNotText
	}
	dst = appendVarint(dst, 1, uint64(r.Type))
	if s := r.Session; s != nil {
		dst = appendSession(appendNested(dst, 2, sizeSession(s)), s)
	}
	if m := r.Msg; m != nil {
		dst = appendMsg(appendNested(dst, 3, sizeMsg(m)), m)
	}
	dst = appendText(dst, 4, r.FrontendID)
	dst = appendText(dst, 5, r.Metadata)
	dst = appendVarint(dst, 1000, r.OrderEpoch)
	dst = appendVarint(dst, 1001, r.Sequence)
	dst = appendText(dst, 1002, r.FrontendNonce)
	return appendVarint(dst, 1003, uint64(r.RemainingUs)), nil
}

func appendResponse(dst []byte, r *clusterpb.Response) ([]byte, error) {
	dst = appendText(dst, 1, r.Data)
	if r.Error != nil {
		failure, err := proto.Marshal(r.Error)
		if err != nil {
			return dst, err
		}
		dst = append(appendNested(dst, 2, len(failure)), failure...)
	}
	if r.NotRun {
		dst = appendVarint(dst, 1000, 1)
	}
	return dst, nil
}

func validMsg(m *clusterpb.Msg) bool {
	return m == nil || utf8.ValidString(m.Route) && utf8.ValidString(m.Reply)
}

func sizeMsg(m *clusterpb.Msg) int {
	return sizeVarint(1, m.Id) + sizeText(2, m.Route) + sizeText(3, m.Data) + sizeText(4, m.Reply) + sizeVarint(5, uint64(m.Type))
}

func appendMsg(dst []byte, m *clusterpb.Msg) []byte {
	dst = appendVarint(dst, 1, m.Id)
	dst = appendText(dst, 2, m.Route)
	dst = appendText(dst, 3, m.Data)
	dst = appendText(dst, 4, m.Reply)
	return appendVarint(dst, 5, uint64(m.Type))
}

func validSession(s *clusterpb.Session) bool { return s == nil || utf8.ValidString(s.Uid) }

func sizeSession(s *clusterpb.Session) int {
	return sizeVarint(1, uint64(s.Id)) + sizeText(2, s.Uid) + sizeText(3, s.Data) + sizeText(1000, s.Changed)
}

func appendSession(dst []byte, s *clusterpb.Session) []byte {
	dst = appendVarint(dst, 1, uint64(s.Id))
	dst = appendText(dst, 2, s.Uid)
	dst = appendText(dst, 3, s.Data)
	return appendText(dst, 1000, s.Changed)
}

func sizeVarint(n protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeVarint(v)
}

func appendVarint(dst []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
}

func sizeText[T string | []byte](n protowire.Number, v T) int {
	if len(v) == 0 {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeBytes(len(v))
}

func appendText[T string | []byte](dst []byte, n protowire.Number, v T) []byte {
	if len(v) == 0 {
		return dst
	}
	return append(appendNested(dst, n, len(v)), v...)
}

// appendNested begins a field of size bytes.
func appendNested(dst []byte, n protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.BytesType), uint64(size))
}
