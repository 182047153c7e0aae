package agent

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

func TestDrainAnswersWhatWasAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	var busy []*client
	for range 3 {
		c := r.dialTCP()
		c.handshake()
		var all []byte
		for id := range uint64(4) {
			all = append(all, encodedMessage(t, protocol.Message{ID: id + 1, Route: "svc.block"})...)
		}
		_, err := c.nc.Write(all)
		require.NoError(t, err)
		busy = append(busy, c)
	}
	quiet := r.dialTCP()
	early := r.dialTCP() // before its handshake
	quiet.handshake()
	require.Eventually(t, func() bool { // what waits to be accepted is reset by the end of the acceptor
		return r.host.Pool.Count() == 4 && r.game.blocked.Load() == 3 && r.acc.(*acceptor.TCP).Connections() == 5
	}, patience, tick)
	require.NoError(t, r.acc.Close())
	for _, c := range busy {
		c.request(5, "svc.echo", "last") // read, or not: answered, or closed
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		r.host.Drain(context.Background())
	}()
	r.game.open()
	for _, c := range busy {
		for id := range uint64(4) {
			require.Equal(t, id+1, c.answer().ID)
		}
		require.Error(t, c.end())
	}
	require.Equal(t, io.EOF, quiet.end())
	require.Equal(t, io.EOF, early.end())
	<-drained
	require.Zero(t, r.host.Pool.Count())
}

func TestS22_DrainClosesTheRestAtItsDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	c.request(1, "svc.block", "x")
	require.Eventually(t, func() bool { return r.game.blocked.Load() == 1 }, patience, tick)
	require.NoError(t, r.acc.Close())
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	r.host.Drain(ctx)
	require.GreaterOrEqual(t, time.Since(begin), 90*time.Millisecond)
	require.Equal(t, protocol.ReasonShutdown, closed(t, s))
	require.Error(t, c.end())
	wait, cancelWait := context.WithTimeout(context.Background(), patience)
	defer cancelWait()
	require.NoError(t, r.acc.Wait(wait))
}

// A connection that comes in between must not be overlooked, or the server
// waits for it in vain.
func TestDrainOverlooksNobody(t *testing.T) {
	t.Parallel()
	for range 30 {
		r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
		var dialing sync.WaitGroup
		for range 4 {
			dialing.Go(func() {
				for {
					nc, err := net.Dial("tcp", r.acc.Addr().String())
					if err != nil {
						return
					}
					_, _ = nc.Write(encoded(t, 1, hello))
					_, _ = io.Copy(io.Discard, nc)
					_ = nc.Close()
				}
			})
		}
		r.session()
		require.NoError(t, r.acc.Close())
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		r.host.Drain(ctx)
		require.NoError(t, r.acc.Wait(ctx))
		cancel()
		dialing.Wait()
		require.Zero(t, r.host.Pool.Count())
	}
}

// The deadline that ends the reading may come just when an ack takes the
// handshake's deadline off.
func TestStopReadingBeatsTheAck(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	for range 50 {
		c := r.dialTCP()
		c.send(1, hello)
		c.next()
		s := r.session()
		go s.Entity().(*Agent).stopReading()
		c.send(2, "")
		a := s.Entity().(*Agent)
		require.Eventually(t, a.stopped.Load, patience, tick)
		_, _ = c.nc.Write(encoded(t, 3, "")) // not read, or the last that is
		s.Close(protocol.ReasonShutdown)
		require.Error(t, c.end())
		require.Eventually(t, func() bool { return r.host.Pool.Count() == 0 }, patience, tick)
	}
}
