package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestRangesSayWhetherToComeBack(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]struct {
		code  protocol.CloseCode
		again protocol.Again
	}{
		protocol.ReasonLeft:      {1000, protocol.AgainAtOnce},
		"a word of the game":     {1000, protocol.AgainAtOnce},
		protocol.ReasonShutdown:  {1001, protocol.AgainAtOnce},
		protocol.ReasonProtocol:  {1002, protocol.AgainNever},
		protocol.ReasonBroken:    {1006, protocol.AgainAtOnce},
		protocol.ReasonInternal:  {1011, protocol.AgainAtOnce},
		protocol.ReasonSlow:      {4000, protocol.AgainLater},
		protocol.ReasonFlood:     {4001, protocol.AgainLater},
		protocol.ReasonLate:      {4002, protocol.AgainLater},
		protocol.ReasonBusy:      {4003, protocol.AgainLater},
		protocol.ReasonTimeout:   {4100, protocol.AgainAtOnce},
		protocol.ReasonMoved:     {4101, protocol.AgainAtOnce},
		protocol.ReasonPaused:    {4102, protocol.AgainAtOnce},
		protocol.ReasonKicked:    {4200, protocol.AgainNever},
		protocol.ReasonReplaced:  {4201, protocol.AgainNever},
		protocol.ReasonHandshake: {4202, protocol.AgainNever},
	} {
		code := protocol.CloseCodeOf(reason)
		require.Equal(t, want.code, code, reason)
		require.Equal(t, want.again, code.Again(), reason)
	}
}

func TestKick(t *testing.T) {
	t.Parallel()
	packet, err := protocol.AppendKick(nil, protocol.Kick{Code: protocol.CloseKicked})
	require.NoError(t, err)
	require.Equal(t, []byte{5, 0, 0, 0}, packet, "no body without a reason")
	for _, reason := range []string{"banned", `a "quoted" <word>`, strings.Repeat("\x01", 9000), strings.Repeat("é", 3000)} {
		packet, err = protocol.AppendKick(nil, protocol.Kick{Reason: reason, Code: protocol.CloseKicked})
		require.NoError(t, err)
		got := protocol.ParseKick(packet[protocol.HeaderSize:])
		require.Equal(t, protocol.CloseKicked, got.Code)
		require.Equal(t, reason[:min(len(reason), 4000)], got.Reason)
	}
	for body, want := range map[string]protocol.Kick{
		"": {}, "{}": {}, "plain": {Reason: "plain"}, `{"reason":3}`: {Reason: "3"},
		`{"reason":"x","code":"y"}`: {Reason: "x"}, `{"code":99999,"reason":"x"}`: {Reason: "x"}, "\xff": {Reason: "\uFFFD"},
	} {
		require.Equal(t, want, protocol.ParseKick([]byte(body)), body)
	}
}

func FuzzParseKick(f *testing.F) {
	f.Add([]byte(`{"reason":"x","code":4200}`))
	f.Add([]byte("plain"))
	f.Fuzz(func(t *testing.T, body []byte) {
		k := protocol.ParseKick(body)
		packet, err := protocol.AppendKick(nil, k)
		require.NoError(t, err)
		if len(k.Reason) > 0 && len(k.Reason) <= 4000 {
			require.Equal(t, k.Reason, protocol.ParseKick(packet[protocol.HeaderSize:]).Reason)
		}
	})
}
