package dispatch

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

var metadataSeeds = []string{
	`{}`, ``, `null`, `[]`, `"x"`, `{`, `{"a"}`, `{"request.id":"r"}x`, `{"request.id":"r",}`,
	`{"peer.id":"c1","peer.service":"front","req-route":"a.b.c","req-start-time":1700000000000000000,"reqTimeout":"5s","request.id":"abc"}`,
	`{"peer.id":"c1", "request.id":"abc"}`, `{"request.id":7}`, `{"request.id":"a\u0062"}`, `{"request.id":"é"}`,
	`{"reqTimeout":"5s","reqTimeout":"7s"}`, `{"reqTimeout":5}`, `{"reqTimeout":null}`, `{"reqTimeout":"soon"}`,
	`{"reqTimeout":"0s"}`, `{"reqTimeout":"-1s"}`, `{"reqTimeout":""}`, `{"reqTimeout":"9999999h"}`,
	`{"req-start-time":1.5e18}`, `{"req-start-time":"x"}`, `{"req-start-time":01}`, `{"req-start-time":-1}`, `{"req-start-time":null}`,
	`{"req-start-time":0}`, `{"opentracing-span":{}}`, `{"otel-span":{"traceparent":"x"},"mine":[1,2,{"a":null}]}`,
	`{"peer.id":1,"peer.service":null,"req-route":{}}`, `{"peer.id":"` + "\xff" + `"}`, `{"request.id":"` + "\x1f" + `"}`, "{\"request.id\":\"\x7f\"}",
	`{"request.id":"r","request.id":5}`, `{"request.id":"r","request.id":null}`, `{"req-start-time":1,"req-start-time":"x"}`,
	`{"cereus.hops":3,"peer.id":"c1"}`, `{"cereus.hops":99999999999999999999}`, `{"cereus.hops":"3"}`, `{"cereus.hops":null}`,
	`{"cereus.hops":3.0}`, `{"cereus.hops":-3}`, `{"cereus.hops":1e3}`, `{"cereus.hops":1e999}`, `{"cereus.hops":3,"mine":1}`,
	`{"opentracing-span":{},"peer.id":"f","peer.service":"c","req-route":"a.b.c","req-start-time":1.795224876484874e+18,"reqTimeout":"1.5s","request.id":"x"}`,
	` { "a" : "}\"\\" , "b\u0022" : [ "]" , {"c":"\\"} ] , "request\u002eid" : "e\n" , "req-start-time" : [ 1 ] , "" : -0.5E3 } `,
	`{"reqTimeout":"\u0035s"}`, `{"reqTimeout":{"a":1}}`, `{"a":1,"reqTimeout":"1m","a":2,"request.id":{}}`, `{"größe":1,"request.id":"` + "\xff" + `"}`,
	` null `, ` [1,2] `, `{"a":[}]}`, `{"a":"\x"}`, "\xef\xbb\xbf{}", `{"peer.id":[1,{"a":"}"}]}`,
}

// slow is what parseMetadata has to come to, by way of a map.
func slow(b []byte) (metadata, error) {
	var all map[string]json.RawMessage
	switch err := json.Unmarshal(b, &all); {
	case len(b) == 0:
		return metadata{}, errs.ErrNoContext
	case err != nil || all == nil:
		return metadata{}, noObject(b)
	}
	var m metadata
	if raw, ok := all[constants.TimeoutKey]; ok {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return m, err
		}
		var err error
		if m.timeout, err = parseTimeout(text); err != nil {
			return m, err
		}
	}
	_ = json.Unmarshal(all[constants.RequestIDKey], &m.requestID)
	m.startTime = string(all[constants.StartTimeKey])
	m.hops = slowHops(all[constants.HopsKey])
	maps.DeleteFunc(all, func(key string, _ json.RawMessage) bool { return wellKnown(key) })
	if len(all) > 0 {
		m.others = &others{all: all}
	}
	return m, nil
}

func slowHops(raw json.RawMessage) int {
	var n json.Number
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &n) != nil || n == "" {
		return 0
	}
	f, err := n.Float64()
	if err != nil {
		return tooManyHops
	}
	return int(max(0, min(f, tooManyHops)))
}

// agree checks that parseMetadata comes to the same as slow.
func agree(t *testing.T, b []byte) (metadata, error) {
	t.Helper()
	want, wantErr := slow(b)
	got, err := parseMetadata(b)
	if wantErr != nil {
		require.Error(t, err, "%q", b)
		require.Equal(t, errs.From(wantErr).Message, errs.From(err).Message, "%q", b)
		return got, err
	}
	require.NoError(t, err, "%q", b)
	require.Equal(t, want.others == nil, got.others == nil, "%q", b)
	require.Equal(t, want.others.values(), got.others.values(), "%q", b)
	want.others, got.others = nil, nil
	require.Equal(t, want, got, "%q", b)
	return parseMetadata(b)
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range metadataSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := agree(t, b)
		if err != nil {
			require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err))
			return
		}
		require.GreaterOrEqual(t, m.timeout, time.Duration(0))
		passedOn(t, &m)
	})
}

// passedOn checks that what is sent on can be read and holds what came.
func passedOn(t *testing.T, m *metadata) {
	t.Helper()
	sent := m.appendTo(nil, hop{peerID: "me\"<", peerType: "front", route: "a.b.c", timeout: 1500 * time.Millisecond})
	require.True(t, json.Valid(sent), "%s", sent)
	again, err := parseMetadata(sent)
	require.NoError(t, err, "%s", sent)
	require.Equal(t, 1500*time.Millisecond, again.timeout)
	require.Equal(t, min(m.hops+1, tooManyHops), again.hops)
	if !strings.Contains(m.requestID, "\uFFFD") {
		require.Equal(t, m.requestID, again.requestID)
	}
	require.Len(t, again.others.values(), len(m.others.values()))
	for key := range m.others.values() {
		require.Contains(t, again.others.values(), key)
	}
	var all map[string]json.RawMessage // a value may be beyond a float64
	require.NoError(t, json.Unmarshal(sent, &all))
	for key, want := range map[string]string{constants.PeerIDKey: "me\"<", constants.RouteKey: "a.b.c"} {
		var text string
		require.NoError(t, json.Unmarshal(all[key], &text))
		require.Equal(t, want, text)
	}
}

func TestMetadataSeedsAgree(t *testing.T) {
	t.Parallel()
	for _, seed := range metadataSeeds {
		_, _ = agree(t, []byte(seed))
	}
	_, ok := scanMetadata([]byte(metadataSeeds[9]))
	require.True(t, ok, "the usual shape takes the slow way")
}

// TestMetadataErrors is wire.md 9.3 to 9.5: everything is PIT-500.
func TestMetadataErrors(t *testing.T) {
	t.Parallel()
	for in, text := range map[string]string{
		``:                       "no context found",
		`null`:                   "no context found",
		`[]`:                     "json: cannot unmarshal array into Go value of type map[string]interface {}",
		`"x"`:                    "json: cannot unmarshal string into Go value of type map[string]interface {}",
		`{`:                      "unexpected end of JSON input",
		`{"reqTimeout":5}`:       "json: cannot unmarshal number into Go value of type string",
		`{"reqTimeout":"0s"}`:    "rpc client: request timeout",
		`{"reqTimeout":"-3s"}`:   "rpc client: request timeout",
		`{"reqTimeout":"soon"}`:  `time: invalid duration "soon"`,
		`{ "reqTimeout":"soon"}`: `time: invalid duration "soon"`,
	} {
		_, err := parseMetadata([]byte(in))
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), in)
		require.Equal(t, text, errs.From(err).Error(), in)
	}
}

func TestMetadataIsPassedOn(t *testing.T) {
	t.Parallel()
	m, err := parseMetadata([]byte(`{"peer.id":"a","mine":{"deep":[1,"<"]},"opentracing-span":{},"req-start-time":17,"request.id":"r1","reqTimeout":"3s"}`))
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, m.timeout)
	require.Equal(t, "r1", m.requestID)
	require.JSONEq(t,
		`{"cereus.hops":1,"mine":{"deep":[1,"<"]},"opentracing-span":{},"peer.id":"b","peer.service":"room","req-route":"x.y.z","req-start-time":17,"reqTimeout":"2s","request.id":"r1"}`,
		string(m.appendTo(nil, hop{peerID: "b", peerType: "room", route: "x.y.z", timeout: 2 * time.Second})))
	plain := metadata{requestID: "r", startTime: "5"}
	require.Equal(t,
		`{"cereus.hops":1,"peer.id":"b","peer.service":"room","req-route":"x.y.z","req-start-time":5,"reqTimeout":"1ms","request.id":"r"}`,
		string(plain.appendTo(nil, hop{peerID: "b", peerType: "room", route: "x.y.z", timeout: time.Microsecond})))
}

func TestTimeoutsNeverSayZero(t *testing.T) {
	t.Parallel()
	for in, out := range map[time.Duration]string{
		0: "1ms", time.Nanosecond: "1ms", -time.Second: "1ms", 1400 * time.Microsecond: "1ms",
		5 * time.Second: "5s", 90 * time.Second: "1m30s", 1500 * time.Millisecond: "1.5s",
	} {
		require.Equal(t, out, formatTimeout(in))
	}
}
