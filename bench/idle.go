package main

import (
	"context"
	"errors"
)

// How many connections idle is measured with; a TLS handshake takes its time.
const (
	idleConns    = 19_000
	idleTLSConns = 5_000
)

// idleKind is one transport of the scenario.
type idleKind struct {
	name     string
	settings serverSettings
	conns    int
	of       func(addresses) target
	resident float64 // goal, KiB at most
}

// idle is connections that do nothing. Every run has a fresh server.
func (b *bench) idle(ctx context.Context) error {
	plain, secure := serverSettings{Type: typeFront}, serverSettings{Type: typeFront, TLS: true}
	for _, k := range []idleKind{
		{"TCP", plain, idleConns, func(a addresses) target { return target{a.TCP, overTCP} }, 8},
		{"WebSocket", plain, idleConns, func(a addresses) target { return target{a.WS, overWS} }, 10},
		{"TLS", secure, idleTLSConns, func(a addresses) target { return target{a.TCP, overTLS} }, 18},
		{"WebSocket TLS", secure, idleTLSConns, func(a addresses) target { return target{a.WS, overWSS} }, 0},
	} {
		b.idleRows(k)
	}
	return b.bound(ctx)
}

// held is what a number of connections adds to a server.
type held struct {
	resident, heap, stack, goroutines *row
	conns                             int
}

func (b *bench) heldRows(name string, conns int) *held {
	return &held{
		resident:   b.row(name+" resident", "KiB/conn"),
		heap:       b.row(name+" heap", "KiB/conn"),
		stack:      b.row(name+" stack", "KiB/conn"),
		goroutines: b.row(name+" goroutines", "per conn"),
		conns:      conns,
	}
}

func (h *held) add(before, after usage) {
	per := func(bytes int64) float64 { return float64(bytes) / 1024 / float64(h.conns) }
	h.resident.Runs = append(h.resident.Runs, per(after.Resident-before.Resident))
	h.heap.Runs = append(h.heap.Runs, per(after.Heap-before.Heap))
	h.stack.Runs = append(h.stack.Runs, per(after.Stack-before.Stack))
	h.goroutines.Runs = append(h.goroutines.Runs, float64(after.Goroutines-before.Goroutines)/float64(h.conns))
}

func (b *bench) idleRows(k idleKind) {
	rows := b.heldRows("idle "+k.name, k.conns)
	rows.resident.AtMost, rows.goroutines.AtMost = k.resident, 1.05 // with idle writers
	b.steps = append(b.steps, func(ctx context.Context) error {
		var front addresses
		server, err := b.start(ctx, roleServer, k.settings, &front)
		if err != nil {
			return err
		}
		var before, after usage
		err = errors.Join(
			server.ask(ctx, "settle", nil, &before),
			b.load.ask(ctx, "idle", idleLoad{Target: k.of(front), Conns: k.conns}, nil),
			server.ask(ctx, "hold", k.conns, nil),
			server.ask(ctx, "settle", nil, &after),
			b.load.ask(ctx, "release", nil, nil),
		)
		rows.add(before, after)
		b.children = b.children[:len(b.children)-1]
		return errors.Join(err, server.stop())
	})
}

// bound is players who logged in: what that adds to their idle connections.
func (b *bench) bound(ctx context.Context) error {
	var etcd, nats string
	_, err1 := b.start(ctx, roleBrokers, brokerSettings{}, &etcd)
	broker, err2 := b.start(ctx, roleBrokers, brokerSettings{NATS: true}, &nats)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	rows := b.heldRows("bound TCP, more than idle", idleConns)
	rows.resident.AtMost, rows.goroutines.AtMost = 1, 0.01
	subs := b.row("bound TCP NATS subscriptions", "per user")
	subs.AtMost = 0.01
	b.steps = append(b.steps, func(ctx context.Context) error {
		var front addresses
		server, err := b.start(ctx, roleServer, serverSettings{Type: typeFront, Etcd: etcd, NATS: nats}, &front)
		if err != nil {
			return err
		}
		var before, after usage
		var few, many int
		err = errors.Join(
			b.load.ask(ctx, "idle", idleLoad{Target: target{front.TCP, overTCP}, Conns: idleConns}, nil),
			server.ask(ctx, "hold", idleConns, nil),
			server.ask(ctx, "settle", nil, &before),
			broker.ask(ctx, "subscriptions", nil, &few),
			b.load.ask(ctx, "bind", bindLoad{Prefix: "player-"}, nil),
			server.ask(ctx, "settle", nil, &after),
			broker.ask(ctx, "subscriptions", nil, &many),
			b.load.ask(ctx, "release", nil, nil),
		)
		rows.add(before, after)
		subs.Runs = append(subs.Runs, float64(many-few)/idleConns)
		b.children = b.children[:len(b.children)-1]
		return errors.Join(err, server.stop())
	})
	return nil
}
