package main

import (
	"context"
	"errors"
	"fmt"
)

// scenarios in the order of the table.
func scenarios() []scenario {
	return []scenario{
		{"local", (*bench).local},
		{"calls", (*bench).callRows},
		{"forward", (*bench).forward},
		{"broadcast", (*bench).broadcast},
		{"idle", (*bench).idle},
		{"login", (*bench).login},
		{"discovery", (*bench).discovery},
	}
}

// shape is connections times requests in flight on each.
type shape struct{ conns, inFlight int }

func (s shape) String() string { return fmt.Sprintf("%dx%d", s.conns, s.inFlight) }

// shapes of the request loads; the last is the one with goals.
func shapes() []shape { return []shape{{1, 1}, {50, 1}, {50, 16}} }

func (b *bench) echo(to target, route string, s shape) echoLoad {
	return echoLoad{
		Target: to, Route: route, Conns: s.conns, InFlight: s.inFlight,
		Payload: payload, WarmUp: warmUp, Time: b.time,
	}
}

// local is requests that the frontend answers itself.
func (b *bench) local(ctx context.Context) error {
	var each, burst, front addresses
	eachServer, err1 := b.start(ctx, roleBare, bareSettings{Write: writeEach, Buffer: manyPackets}, &each)
	burstServer, err2 := b.start(ctx, roleBare, bareSettings{Write: writeBurst, Buffer: manyPackets}, &burst)
	server, err3 := b.start(ctx, roleServer, serverSettings{Type: typeFront}, &front)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for _, s := range shapes() {
		goal := 0.0
		if s.inFlight > 1 {
			goal = 0.35
		}
		unbatched := b.each(b.row("bare echo unbatched "+s.String(), "req/s"), eachServer, b.load, "echo",
			b.echo(target{each.TCP, bareEcho}, routeEcho, s))
		batched := b.each(b.row("bare echo batched "+s.String(), "req/s"), burstServer, b.load, "echo",
			b.echo(target{burst.TCP, bareEcho}, routeEcho, s))
		tcp := b.each(b.row("local TCP "+s.String(), "req/s"), server, b.load, "echo",
			b.echo(target{front.TCP, overTCP}, routeEcho, s))
		tcp.beside(unbatched, 0).beside(batched, goal)
		tcp.AllocsAtMost = 16
		b.each(b.row("local WebSocket "+s.String(), "req/s"), server, b.load, "echo",
			b.echo(target{front.WS, overWS}, routeEcho, s)).beside(unbatched, 0).beside(batched, 0)
	}
	return nil
}

// manyCalls are in flight in the rows of calls that nobody waits for.
const manyCalls = 1024

// callRows is calls from one server to another.
func (b *bench) callRows(ctx context.Context) error {
	c, err := b.startCluster(ctx)
	if err != nil {
		return err
	}
	raw := b.rawCalls(c, 1, 64, manyCalls)
	b.callRow(c, "RPC", "call", 1).beside(raw[1], 0.85)
	b.callRow(c, "RPC", "call", 64).beside(raw[64], 1)
	b.callRow(c, "Go", "go", manyCalls).beside(raw[64], 2).beside(raw[manyCalls], 1.3)
	return nil
}

// rawCalls are the limits of calls, by the number of callers.
func (b *bench) rawCalls(c running, callers ...int) map[int]*row {
	raw := make(map[int]*row)
	for _, n := range callers {
		raw[n] = b.eachOf(b.row(fmt.Sprintf("raw NATS request %d", n), "req/s"),
			load{server: c.requester, callee: c.answerer, worker: c.requester, do: "call", args: b.calls(n)})
	}
	return raw
}

func (b *bench) callRow(c running, name, do string, inFlight int) *row {
	r := b.eachOf(b.row(fmt.Sprintf("%s %d", name, inFlight), "req/s"),
		load{server: c.caller, callee: c.back, worker: c.caller, do: do, args: b.calls(inFlight)})
	r.AllocsAtMost, r.CalleeAtMost = 10, 12
	return r
}

// forward is requests that a backend answers.
func (b *bench) forward(ctx context.Context) error {
	c, err := b.startCluster(ctx)
	if err != nil {
		return err
	}
	raw := b.rawCalls(c, 1, 64)
	for _, s := range shapes() {
		limit, goal := raw[64], 0.0
		switch {
		case s.conns == 1:
			limit = raw[1]
		case s.inFlight > 1:
			goal = 0.5
		}
		b.each(b.row("forward TCP "+s.String(), "req/s"), c.front, b.load, "echo",
			b.echo(target{c.at.TCP, overTCP}, routeForward, s)).beside(limit, goal)
		b.each(b.row("forward WebSocket "+s.String(), "req/s"), c.front, b.load, "echo",
			b.echo(target{c.at.WS, overWS}, routeForward, s)).beside(limit, 0)
	}
	return nil
}

func (b *bench) calls(callers int) callLoad {
	return callLoad{Callers: callers, Payload: payload, WarmUp: warmUp, Time: b.time}
}

// running are the processes of a cluster and of raw users of its NATS.
type running struct {
	front, back, caller *child
	answerer, requester *child
	at                  addresses // of front
}

func (b *bench) startCluster(ctx context.Context) (c running, err error) {
	var etcd, nats string
	_, err1 := b.start(ctx, roleBrokers, brokerSettings{}, &etcd)
	_, err2 := b.start(ctx, roleBrokers, brokerSettings{NATS: true}, &nats)
	if err := errors.Join(err1, err2); err != nil {
		return c, err
	}
	settings := func(serverType string) serverSettings {
		return serverSettings{Type: serverType, Etcd: etcd, NATS: nats}
	}
	var faults [5]error
	c.front, faults[0] = b.start(ctx, roleServer, settings(typeFront), &c.at)
	c.back, faults[1] = b.start(ctx, roleServer, settings(typeBack), nil)
	c.caller, faults[2] = b.start(ctx, roleServer, settings(typeCaller), nil)
	c.answerer, faults[3] = b.start(ctx, roleNATS, natsSettings{URL: nats, Answer: true}, nil)
	c.requester, faults[4] = b.start(ctx, roleNATS, natsSettings{URL: nats}, nil)
	if err := errors.Join(faults[:]...); err != nil {
		return c, err
	}
	return c, errors.Join(c.front.ask(ctx, "meet", typeBack, nil), c.caller.ask(ctx, "meet", typeBack, nil))
}

// broadcast is one push to a thousand members.
func (b *bench) broadcast(ctx context.Context) error {
	var each, front addresses
	bareServer, err1 := b.start(ctx, roleBare, bareSettings{Write: writeEach, Buffer: manyPackets}, &each)
	server, err2 := b.start(ctx, roleServer, serverSettings{Type: typeFront}, &front)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	fan := func(to target) fanLoad {
		return fanLoad{Target: to, Members: 1000, Payload: pushPayload, WarmUp: warmUp, Time: b.time}
	}
	limit := b.each(b.row("bare writes to 1000 sockets", "pushes/s"), bareServer, b.load, "fan", fan(target{each.TCP, bareEcho}))
	b.each(b.row("broadcast to 1000 TCP members", "pushes/s"), server, b.load, "fan", fan(target{front.TCP, overTCP})).beside(limit, 0)
	b.each(b.row("broadcast to 1000 WebSocket members", "pushes/s"), server, b.load, "fan", fan(target{front.WS, overWS})).beside(limit, 0)
	c, err := b.startCluster(ctx)
	if err != nil {
		return err
	}
	behind := fan(target{c.at.TCP, overTCP})
	behind.Behind = true
	b.each(b.row("broadcast of a backend to 1000 TCP members", "pushes/s"), c.front, b.load, "fan", behind).beside(limit, 0.5)
	return nil
}
