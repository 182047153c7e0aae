package acceptor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

func rules(header ForwardedHeader, networks ...string) *forwardedRules {
	r := &forwardedRules{header: header}
	for _, n := range networks {
		r.trusted = append(r.trusted, netip.MustParsePrefix(n))
	}
	return r
}

func TestS25_ForwardedAddresses(t *testing.T) {
	t.Parallel()
	x := rules(HeaderXForwardedFor, "10.0.0.0/8", "fd00::/8")
	f := rules(HeaderForwarded, "10.0.0.0/8", "fd00::/8")
	for _, tc := range []struct {
		rules      *forwardedRules
		peer, said string
		want       string
	}{
		{x, "10.0.0.1:1", "203.0.113.7", "203.0.113.7:0"},
		{x, "10.0.0.1:1", "203.0.113.7:4711", "203.0.113.7:4711"},
		{x, "10.0.0.1:1", "198.51.100.1, 203.0.113.7", "203.0.113.7:0"},             // the first is what the client wrote
		{x, "10.0.0.1:1", "198.51.100.1, 203.0.113.7 ,10.0.0.2", "203.0.113.7:0"},   // two proxies
		{x, "10.0.0.1:1", "10.0.0.3, 10.0.0.2", "10.0.0.3:0"},                       // from inside
		{x, "10.0.0.1:1", "198.51.100.1, rubbish, 10.0.0.2", "10.0.0.2:0"},          // nothing in front of rubbish counts
		{x, "10.0.0.1:1", "2001:db8::1", "[2001:db8::1]:0"},                         //
		{x, "[fd00::1]:1", "[2001:db8::1]:47", "[2001:db8::1]:47"},                  //
		{x, "10.0.0.1:1", "::ffff:203.0.113.7", "203.0.113.7:0"},                    //
		{x, "10.0.0.1:1", "", "10.0.0.1:1"},                                         //
		{x, "203.0.113.9:1", "198.51.100.1", "203.0.113.9:1"},                       // not a proxy of ours
		{f, "10.0.0.1:1", "for=203.0.113.7", "203.0.113.7:0"},                       //
		{f, "10.0.0.1:1", `For="[2001:db8::1]:47";proto=https`, "[2001:db8::1]:47"}, //
		{f, "10.0.0.1:1", `for=198.51.100.1, proto=wss;FOR=203.0.113.7;by=10.0.0.1`, "203.0.113.7:0"},
		{f, "10.0.0.1:1", `for="198.51.100.1, for=203.0.113.7"`, "10.0.0.1:1"}, // a comma inside quotes
		{f, "10.0.0.1:1", `for=198.51.100.1, for=unknown`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=198.51.100.1, for=_hidden`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=198.51.100.1, by=10.0.0.9`, "10.0.0.1:1"},
		// What a client writes in front, so that what the proxy appends is taken for a part of it.
		{x, "10.0.0.1:1", `", 203.0.113.7`, "203.0.113.7:0"},
		{x, "10.0.0.1:1", `"\, 203.0.113.7`, "203.0.113.7:0"},
		{f, "10.0.0.1:1", `for=198.51.100.1;x=", for=203.0.113.7`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=198.51.100.1;x=", for="[2001:db8::1]"`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=198.51.100.1;x="\, for="[2001:db8::1]"`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=198.51.100.1;x="\", for=203.0.113.7`, "10.0.0.1:1"},
		{f, "10.0.0.1:1", `for=203.0.113.7;host="a, for=198.51.100.1"`, "203.0.113.7:0"},
		{f, "10.0.0.1:1", `for=203.0.113.7;host="a\", for=198.51.100.1"`, "203.0.113.7:0"},
		{f, "10.0.0.1:1", `for=203.0.113.7;host=";for=198.51.100.1"`, "203.0.113.7:0"},
	} {
		peer, err := net.ResolveTCPAddr("tcp", tc.peer)
		require.NoError(t, err)
		require.Equal(t, tc.want, tc.rules.client(peer, tc.said).String(), tc.said)
	}
}

// TestS25_ForwardedOnWebSocket: with a client of somebody else's.
func TestS25_ForwardedOnWebSocket(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ trusted, want string }{{"127.0.0.0/8", "203.0.113.7"}, {"10.0.0.0/8", "127.0.0.1"}} {
		address, conns := oneConn(t, NewWebSocket("127.0.0.1:0",
			WithForwarded(HeaderXForwardedFor, netip.MustParsePrefix(tc.trusted)), WithOrigins("https://play.example.com")))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		header := http.Header{"X-Forwarded-For": {"198.51.100.1", "203.0.113.7"}, "Forwarded": {"for=192.0.2.66"}}
		c, _, err := websocket.Dial(ctx, "ws://"+address, &websocket.DialOptions{HTTPHeader: header})
		require.NoError(t, err)
		defer c.CloseNow() //nolint:errcheck // it is over
		host, _, err := net.SplitHostPort(receive(t, conns).RemoteAddr().String())
		require.NoError(t, err)
		require.Equal(t, tc.want, host)
		header.Set("Origin", "https://evil.example.com")
		_, _, err = websocket.Dial(ctx, "ws://"+address, &websocket.DialOptions{HTTPHeader: header})
		require.Error(t, err, "origins are still looked at")
	}
	for _, o := range []Option{
		WithForwarded(HeaderForwarded), WithForwarded("X-Real-Ip", netip.MustParsePrefix("10.0.0.0/8")), WithForwarded(HeaderForwarded, netip.Prefix{}),
	} {
		require.Error(t, NewWebSocket("127.0.0.1:0", o).Listen(context.Background()))
	}
	require.Error(t, NewTCP("127.0.0.1:0", WithForwarded(HeaderForwarded, netip.MustParsePrefix("10.0.0.0/8"))).Listen(context.Background()))
}

// FuzzForwarded: whatever a client writes in front of what a trusted proxy
// appends, it is known by its own address, or hidden behind the proxy's.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"203.0.113.7, 10.0.0.2", `for="[2001:db8::1]:47";proto=https`, `for="a\"b`, "", ",;=", "[", "1.2.3.4:99999",
		`for=198.51.100.1;x="`, `for="198.51.100.1`, `"\`, `for=198.51.100.1, for="_x"`, `;for=198.51.100.1`,
	} {
		f.Add(s)
	}
	peer := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	x, fwd := rules(HeaderXForwardedFor, "10.0.0.0/8"), rules(HeaderForwarded, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, said string) {
		for _, r := range []*forwardedRules{x, fwd} { // from the proxy itself
			ip, ok := ipOf(r.client(peer, said))
			require.True(t, ok)
			require.True(t, ip.IsValid() && !ip.Is4In6() && ip.Zone() == "")
		}
		require.Equal(t, "203.0.113.7:0", x.client(peer, said+", 203.0.113.7").String())
		for appended, own := range map[string]string{
			",for=203.0.113.7":                           "203.0.113.7:0",
			`, for="[2001:db8::7]:4711"`:                 "[2001:db8::7]:4711",
			`, proto=https;for="[2001:db8::7]";host="x"`: "[2001:db8::7]:0",
		} {
			require.Contains(t, []string{own, peer.String()}, fwd.client(peer, said+appended).String(), appended)
		}
	})
}
