package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	require.Zero(t, median(nil))
	require.InDelta(t, 2, median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{9, 1, 2, 3}), 0)
}

func TestRowBesideItsLimit(t *testing.T) {
	t.Parallel()
	limit := &row{Name: "limit", Runs: []float64{100, 200, 100}}
	r := (&row{Name: "measured", Unit: "req/s", Runs: []float64{50, 150, 95}}).beside(limit, 0.7)
	r.AtMost = 90
	r.compare()
	require.Equal(t, []float64{0.5, 0.75, 0.95}, r.Limits[0].Ratios)

	var out bytes.Buffer
	require.NoError(t, writeTable(&out, []*row{limit, r}))
	require.Contains(t, out.String(), "0.75 (0.50..0.95) of limit")
	require.Contains(t, out.String(), "above 0.7: reached")
	require.Contains(t, out.String(), "at most 90: MISSED")

	less := (&row{Name: "less", Runs: []float64{120, 200, 400}}).atMostTimes(limit, 1.5)
	less.compare()
	out.Reset()
	require.NoError(t, writeTable(&out, []*row{less}))
	require.Contains(t, out.String(), "at most 1.5 times: reached")
}

func TestFramesAreCut(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 64, 125, 126, 300} {
		packet, err := requestPacket(1, routeEcho, bytes.Repeat([]byte{'x'}, size))
		require.NoError(t, err)
		got, n := cutPacket(append(bytes.Clone(packet), "rest"...))
		require.Equal(t, packet, got)
		require.Len(t, packet, n)
		_, n = cutPacket(packet[:len(packet)-1])
		require.Zero(t, n)

		frame := unmasked(appendFrame(nil, packet))
		got, n = cutFrame(frame)
		require.Equal(t, packet, got)
		require.Len(t, frame, n)
		_, n = cutFrame(frame[:len(frame)-1])
		require.Zero(t, n)
	}
}

// unmasked is a client's frame as a server would send it.
func unmasked(frame []byte) []byte {
	header := 2
	if frame[1]&0x7f == 126 {
		header = 4
	}
	out := append([]byte{}, frame[:header]...)
	out[1] &^= 0x80
	for i, c := range frame[header+4:] {
		out = append(out, c^frame[header+i%4])
	}
	return out
}

func TestAnswersThatCount(t *testing.T) {
	t.Parallel()
	n, err := countData([]byte{4, 0, 0, 2, flagResponse, 1}, flagResponse)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = countData([]byte{3, 0, 0, 0}, flagResponse)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = countData([]byte{4, 0, 0, 2, flagResponse | 0x20, 1}, flagResponse)
	require.ErrorIs(t, err, errRefused)
	_, err = countData([]byte{5, 0, 0, 0}, flagResponse)
	require.ErrorIs(t, err, errRefused)
}

func TestEveryServerAnswersTheLoad(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, err := newServer(serverSettings{Type: typeFront})
	require.NoError(t, err)
	at, err := server.start(ctx)
	require.NoError(t, err)
	each, err := startBare(ctx, bareSettings{Write: writeEach, Buffer: manyPackets})
	require.NoError(t, err)
	burst, err := startBare(ctx, bareSettings{Write: writeBurst, Buffer: manyPackets})
	require.NoError(t, err)
	for _, to := range []target{
		{each.listener.Addr().String(), bareEcho}, {burst.listener.Addr().String(), bareEcho},
		{at.TCP, overTCP}, {at.WS, overWS},
	} {
		got, err := runEcho(ctx, echoLoad{
			Target: to, Route: routeEcho, Conns: 3, InFlight: 4, Payload: 64, Time: 50 * time.Millisecond,
		})
		require.NoError(t, err)
		require.Positive(t, got.Total)
		got, err = runFan(ctx, fanLoad{Target: to, Members: 5, Payload: 128, Time: 50 * time.Millisecond})
		require.NoError(t, err)
		require.Positive(t, got.Total)
	}
	var idle idlers
	n, err := idle.open(ctx, idleLoad{Target: target{at.TCP, overTCP}, Conns: 10})
	require.NoError(t, err)
	require.Equal(t, 10, n)
	_, err = idle.close(ctx, struct{}{})
	require.NoError(t, err)
	require.NoError(t, each.stop(ctx))
	require.NoError(t, burst.stop(ctx))
	require.NoError(t, server.app.Shutdown(ctx))
}

func TestOrders(t *testing.T) {
	t.Parallel()
	known := commands{"double": does(func(_ context.Context, n int) (int, error) { return 2 * n, nil })}
	var out bytes.Buffer
	in := strings.NewReader(`{"do":"double","args":21}{"do":"nothing"}{"do":"double","args":"x"}`)
	require.NoError(t, obey(context.Background(), in, &out, known))
	answers := json.NewDecoder(&out)
	var a answer
	require.NoError(t, answers.Decode(&a))
	require.JSONEq(t, "42", string(a.Result))
	for range 2 {
		a = answer{}
		require.NoError(t, answers.Decode(&a))
		require.NotEmpty(t, a.Error)
	}
}

func TestUsersOfEtcd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	etcd, err := embedded.Start(ctx, embedded.WithoutNATS())
	require.NoError(t, err)
	defer func() { require.NoError(t, etcd.Stop(ctx)) }()
	endpoint := etcd.EtcdEndpoints()[0]
	for _, by := range []string{byHand, byCereus} {
		e, err := startEtcdUser(ctx, endpoint)
		require.NoError(t, err)
		require.NoError(t, e.fill(ctx, by+"/", 130))
		took, err := e.first(ctx, etcdTask{By: by, Prefix: by + "/", Count: 130})
		require.NoError(t, err)
		require.Positive(t, took)
		_, err = e.watch(ctx, etcdTask{By: by, Prefix: by + "/", Count: 2})
		require.NoError(t, err)
		require.NoError(t, e.change(ctx, by+"/", 3, "next"))
		task := etcdTask{By: by, Prefix: by + "/", ID: "m"}
		_, err = e.await(ctx, etcdTask{Event: "update", ID: anyServer, Count: 6})
		require.NoError(t, err)
		for _, step := range []struct {
			event string
			cause func(context.Context, etcdTask) (time.Time, error)
		}{{"up", e.join}, {"down", e.leave}} {
			began, err := step.cause(ctx, task)
			require.NoError(t, err)
			times, err := e.await(ctx, etcdTask{Event: step.event, ID: "m", Count: 2}) // both at once would be no change
			require.NoError(t, err)
			require.True(t, times[0].After(began))
		}
		require.NoError(t, e.stop(ctx))
	}
	figures, err := etcdMetrics(ctx, endpoint)
	require.NoError(t, err)
	require.Positive(t, figures[proposals])
}
