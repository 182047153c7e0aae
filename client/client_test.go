package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/loopback"
	"github.com/cereus-game/cereus/protocol"
)

var schemes = []string{"tcp", "tls", "ws", "wss"}

func TestRequestsOnEveryTransport(t *testing.T) {
	t.Parallel()
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			c := dial(t, serve(t, scheme, echo))
			require.NotNil(t, c.RemoteAddr())
			require.Equal(t, "json", c.Serializer())
			var reply struct{ N int }
			require.NoError(t, c.Request(background(t), "a.b.c", map[string]int{"N": 7}, &reply))
			require.Equal(t, 7, reply.N)
			var raw []byte
			require.NoError(t, c.Request(background(t), "a.b.c", []byte("\x00\xff"), &raw))
			require.Equal(t, "\x00\xff", string(raw))
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			raw, err := c.RequestRaw(background(t), "a.b.c", big)
			require.NoError(t, err)
			require.True(t, bytes.Equal(big, raw))
			require.NoError(t, c.Request(background(t), "a.b.c", nil, nil))
			require.NoError(t, c.Err())
			require.NoError(t, c.Close())
			require.NoError(t, c.Close())
			require.Equal(t, client.ReasonLocal, ended(t, c).Reason)
			_, err = c.RequestRaw(background(t), "a.b.c", nil)
			require.Equal(t, errs.CodeClosed, errs.CodeOf(err))
			var reason *client.CloseError
			require.ErrorAs(t, err, &reason)
		})
	}
}

func TestHandshakeTellsWhoAsks(t *testing.T) {
	t.Parallel()
	said := make(chan *protocol.HandshakeRequest, 1)
	addr := serve(t, "tcp", func(p *peer) {
		said <- p.welcome(protocol.HandshakeResponse{})
		p.untilClosed()
	})
	dial(t, strings.TrimPrefix(addr, "tcp://"), client.WithUser(map[string]any{"age": 30}))
	r := <-said
	require.Equal(t, client.LibVersion, r.Sys.LibVersion)
	require.EqualValues(t, 30, r.User["age"])
}

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	addr := serve(t, "tcp", func(p *peer) {
		p.read()
		p.send(protocol.PacketHandshake, []byte(`{"code":400,"sys":{}}`))
	})
	_, err := client.Dial(background(t), addr)
	var refused *client.HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 400, refused.Code)
}

func TestDialFaults(t *testing.T) {
	t.Parallel()
	silent := serve(t, "tcp", func(p *peer) { p.untilClosed() })
	http := serve(t, "tcp", func(p *peer) {
		_, _ = p.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		p.untilClosed()
	})
	closed, err := loopback.Listen() // below the ports that other tests are given meanwhile
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for addr, want := range map[string]string{
		"localhost":                       "host:port",
		"quic://a:1":                      "unknown scheme",
		"ws://":                           "no host",
		"ws://a b":                        "URL",
		"tcp://" + closed.Addr().String(): "refused",
		"ws://" + closed.Addr().String():  "refused",
		silent:                            "deadline exceeded",
		http:                              "scheme right",
	} {
		ctx, cancel := context.WithTimeout(background(t), 300*time.Millisecond)
		if addr != silent {
			ctx = background(t)
		}
		_, err := client.Dial(ctx, addr)
		cancel()
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, addr)
	}
}

func TestErrorResponse(t *testing.T) {
	t.Parallel()
	addr := serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		for m, ok := p.message(); ok; m, ok = p.message() {
			body, _ := protocol.EncodeError("json", errs.ErrNoServer.With("type", "room"))
			if m.Route == "empty" {
				body = nil
			}
			p.say(protocol.Message{Type: protocol.MessageResponse, ID: m.ID, Data: body, Err: true}, protocol.Encoding{})
		}
	})
	c := dial(t, addr)
	err := c.Request(background(t), "a.b.c", nil, nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, "room", errs.From(err).Metadata["type"])
	require.ErrorIs(t, c.Request(background(t), "empty", nil, nil), protocol.ErrEmptyErrorBody)
}

func TestDictionaryBothWaysAndCompression(t *testing.T) {
	t.Parallel()
	dict, err := protocol.NewDictionary(map[string]uint16{"room.chat.say": 7, "onSaid": 900})
	require.NoError(t, err)
	addr := serve(t, "ws", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Dictionary: dict})
		packet, _ := p.read()
		assert.Equal(p.t, "\x01\x01\x00\x07hi", string(packet.Body))
		squeeze := protocol.Encoding{Dictionary: dict, CompressAbove: 1}
		p.say(protocol.Message{Type: protocol.MessagePush, Route: "onSaid", Data: bytes.Repeat([]byte("x"), 1<<20)}, squeeze)
		p.say(protocol.Message{Type: protocol.MessageResponse, ID: 1, Data: bytes.Repeat([]byte("y"), 1<<20)}, squeeze)
		p.untilClosed()
	})
	c := dial(t, addr)
	pushed := make(chan string, 1)
	c.OnPush(func(route string, data []byte) { pushed <- fmt.Sprint(route, len(data)) })
	got, err := c.RequestRaw(background(t), "room.chat.say", []byte("hi"))
	require.NoError(t, err)
	require.Len(t, got, 1<<20)
	require.Equal(t, "onSaid1048576", <-pushed)
	require.Equal(t, dict.Routes(), c.Dictionary().Routes())
}

func TestProtobuf(t *testing.T) {
	t.Parallel()
	addr := serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Serializer: "protobuf"})
		for m, ok := p.message(); ok; m, ok = p.message() {
			p.respond(m.ID, string(m.Data))
		}
	})
	c := dial(t, addr)
	var reply wrapperspb.StringValue
	require.NoError(t, c.Request(background(t), "a.b.c", wrapperspb.String("hello"), &reply))
	require.Equal(t, "hello", reply.Value)
	err := c.Request(background(t), "a.b.c", "no message", nil)
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
}

func TestUnknownSerializerStillPassesBytes(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Serializer: "msgpack"})
		m, _ := p.message()
		p.respond(m.ID, string(m.Data))
		p.untilClosed()
	}))
	require.ErrorContains(t, c.Request(background(t), "a.b.c", 1, nil), "WithSerializer")
	var raw []byte
	require.NoError(t, c.Request(background(t), "a.b.c", []byte("x"), &raw))
	require.Equal(t, "x", string(raw))
	require.ErrorContains(t, c.Decode(raw, new(int)), "WithSerializer")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	asked := make(chan uint64, 8)
	addr := serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		for m, ok := p.message(); ok; m, ok = p.message() {
			if m.Route == "late" { // answer an earlier request that was given up
				p.respond(1, "too late")
				p.respond(m.ID, "fine")
				continue
			}
			asked <- m.ID
		}
	})
	c := dial(t, addr, client.WithTimeout(50*time.Millisecond))
	_, err := c.RequestRaw(context.Background(), "a.b.c", nil)
	require.ErrorIs(t, err, errs.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "a.b.c")

	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = c.RequestRaw(short, "a.b.c", nil)
	require.ErrorIs(t, err, errs.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	done := make(chan error, 1)
	require.NoError(t, c.Go("a.b.c", nil, func(_ []byte, err error) { done <- err }))
	require.ErrorIs(t, <-done, errs.ErrTimeout)

	stopped, stop := context.WithCancel(context.Background())
	stop()
	_, err = c.RequestRaw(stopped, "a.b.c", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, errs.ErrTimeout)

	got, err := c.RequestRaw(background(t), "late", nil)
	require.NoError(t, err, "the context's deadline is longer than the client's timeout")
	require.Equal(t, "fine", string(got))
	require.Zero(t, c.InFlight())
}

func TestCancelInFlight(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		p.message()
		close(asked)
		p.untilClosed()
	}))
	ctx, cancel := context.WithCancel(background(t))
	go func() { <-asked; cancel() }()
	_, err := c.RequestRaw(ctx, "a.b.c", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, c.InFlight())
}

func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"tcp", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			c := dial(t, serve(t, scheme, echo))
			const n = 5000
			var wg sync.WaitGroup
			var wrong atomic.Int64
			wg.Add(n)
			for i := range n {
				want := fmt.Sprint("number ", i)
				require.NoError(t, c.Go("a.b.c", []byte(want), func(data []byte, err error) {
					defer wg.Done()
					if err != nil || string(data) != want {
						wrong.Add(1)
					}
				}))
			}
			wg.Wait()
			require.Zero(t, wrong.Load())
			require.Zero(t, c.InFlight())
		})
	}
}

func TestResponsesOutOfOrder(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		var all []protocol.Message
		for len(all) < 10 {
			m, _ := p.message()
			all = append(all, m)
		}
		for i := range all {
			m := all[len(all)-1-i]
			p.respond(m.ID, string(m.Data))
		}
		p.untilClosed()
	}))
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			var got int
			assert.NoError(t, c.Request(background(t), "a.b.c", i, &got))
			assert.Equal(t, i, got)
		})
	}
	wg.Wait()
}

func TestPushesInOrderAlsoEarlyOnes(t *testing.T) {
	t.Parallel()
	addr := serve(t, "tcp", func(p *peer) {
		p.push("n", "0") // before the handshake is answered
		p.welcome(protocol.HandshakeResponse{})
		for i := 1; i < 500; i++ {
			p.push("n", fmt.Sprint(i))
			if i == 200 {
				m, _ := p.message()
				p.respond(m.ID, "")
			}
		}
		p.untilClosed()
	})
	c := dial(t, addr)
	require.NoError(t, c.Request(background(t), "a.b.c", nil, nil)) // 200 pushes came before
	got := make(chan string, 1000)
	c.OnPush(func(route string, data []byte) {
		got <- string(data)
		if string(data) == "300" {
			panic("a handler of the user's")
		}
	})
	for i := range 500 {
		require.Equal(t, fmt.Sprint(i), <-got)
	}
	require.NoError(t, c.Err())
}

func TestNotifyGoesOutBeforeClose(t *testing.T) {
	t.Parallel()
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			got := make(chan int, 1)
			c := dial(t, serve(t, scheme, func(p *peer) {
				p.welcome(protocol.HandshakeResponse{})
				n := 0
				for m, ok := p.message(); ok; m, ok = p.message() {
					if m.Type == protocol.MessageNotify {
						n++
					}
				}
				got <- n
			}))
			for range 100 {
				require.NoError(t, c.Notify(background(t), "a.b.c", "text"))
			}
			require.NoError(t, c.Close())
			require.Equal(t, 100, <-got)
		})
	}
}

func TestFullQueueWaitsOrSaysBusy(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		<-goOn
		for m, ok := p.message(); ok; m, ok = p.message() {
			if m.Type == protocol.MessageRequest {
				p.respond(m.ID, "done")
			}
		}
	}))
	block := make([]byte, 1<<20)
	require.Eventually(t, func() bool { // the kernel may still take some, which makes room again
		if errs.CodeOf(c.Go("a.b.c", block, func([]byte, error) {})) != errs.CodeBusy {
			return false
		}
		ctx, cancel := context.WithTimeout(background(t), 50*time.Millisecond)
		defer cancel()
		return errors.Is(c.NotifyRaw(ctx, "a.b.c", block), context.DeadlineExceeded)
	}, long, time.Microsecond)
	done := make(chan error, 1)
	go func() {
		_, err := c.RequestRaw(background(t), "a.b.c", block)
		done <- err
	}()
	close(goOn)
	require.NoError(t, <-done)
}

func TestRouteTooLong(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", echo))
	err := c.Request(background(t), strings.Repeat("r", 256), nil, nil)
	require.ErrorIs(t, err, protocol.ErrRouteTooLong)
	require.Zero(t, c.InFlight())
	require.NoError(t, c.Request(background(t), strings.Repeat("r", 255), nil, nil))
}

func TestParallelUseAndClose(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", echo))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				data, err := c.RequestRaw(context.Background(), "a.b.c", []byte("x"))
				if err != nil {
					assert.Equal(t, errs.CodeClosed, errs.CodeOf(err))
					return
				}
				assert.Equal(t, "x", string(data))
			}
		})
	}
	require.Eventually(t, func() bool { return c.InFlight() > 1 }, long, time.Microsecond)
	require.NoError(t, c.Close())
	wg.Wait()
}
