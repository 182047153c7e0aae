package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

const (
	loginPlayers = 64 // that log in at the same time
	firstLogins  = 2_000
	logins       = 14_000 // the descriptors of a process allow few more
	// bindingRecords is where the records of the logins are (docs/players.md).
	bindingRecords = "cereus/x/bindings/"
)

// login is a storm of players who come: connect, handshake, bind.
func (b *bench) login(ctx context.Context) error {
	var etcd, nats string
	var bareAt, alone, front addresses
	_, err1 := b.start(ctx, roleBrokers, brokerSettings{}, &etcd)
	_, err2 := b.start(ctx, roleBrokers, brokerSettings{NATS: true}, &nats)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	bareServer, err1 := b.start(ctx, roleBare, bareSettings{Write: writeEach, Buffer: onePacket}, &bareAt)
	single, err2 := b.start(ctx, roleServer, serverSettings{Type: typeFront}, &alone)
	server, err3 := b.start(ctx, roleServer, serverSettings{Type: typeFront, Etcd: etcd, NATS: nats}, &front)
	user, err4 := b.start(ctx, roleEtcd, etcd, nil)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	storm := func(r *row, server *child, at addresses, prefix string) *row {
		b.each(r, server, b.load, "login", loginLoad{
			Target: target{at.TCP, overTCP}, Players: loginPlayers, Prefix: prefix, First: firstLogins, Logins: logins,
		})
		b.steps = append(b.steps, func(ctx context.Context) error {
			return errors.Join(
				b.load.ask(ctx, "release", nil, nil),
				server.ask(ctx, "hold", 0, nil),
				user.ask(ctx, "gone", etcdTask{Prefix: bindingRecords}, nil),
			)
		})
		return r
	}
	shakes := storm(b.row("bare accept and handshake", "logins/s"), bareServer, bareAt, "")
	storm(b.row("login standalone", "logins/s"), single, alone, "player-").beside(shakes, 0.6)
	raw := b.each(b.row("raw etcd transactions", "txn/s"), user, user, "txn",
		txnLoad{Callers: loginPlayers, Prefix: "raw/", WarmUp: warmUp, Time: b.time})
	storm(b.row("login with its record in etcd", "logins/s"), server, front, "player-").beside(raw, 0.6)
	return nil
}

// txnLoad is what the records of bindings need of etcd, by hand: a transaction
// each that makes a key of a lease if it is not there.
type txnLoad struct {
	Callers int
	Prefix  string
	WarmUp  time.Duration
	Time    time.Duration
}

func (e *etcdUser) transact(ctx context.Context, p txnLoad) (loadResult, error) {
	lease, err := e.client.Grant(ctx, int64(patience/time.Second))
	if err != nil {
		return loadResult{}, err
	}
	counters := make([]counter, p.Callers)
	running, stop := context.WithCancel(ctx)
	defer stop()
	work := errgroup.Group{}
	run := p.Prefix + strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	for i := range counters {
		work.Go(func() error {
			for running.Err() == nil {
				k := run + strconv.Itoa(i) + "-" + strconv.FormatInt(counters[i].Load(), 10)
				put := clientv3.OpPut(k, `{"server":"connector-1","nonce":"7QGSU0V1DJD8QJ6V2J4A2B","session":12345}`, clientv3.WithLease(lease.ID))
				_, err := e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(k), "=", 0)).Then(put).Else(clientv3.OpGet(k)).Commit()
				if err != nil {
					return err
				}
				counters[i].Add(1)
			}
			return nil
		})
	}
	rate := measure(ctx, p.WarmUp, p.Time, func() int64 { return sum(counters) })
	stop()
	err = work.Wait()
	_, errRevoke := e.client.Revoke(ctx, lease.ID)
	return loadResult{Rate: rate, Total: sum(counters)}, errors.Join(err, errRevoke)
}

// gone waits until nothing is left below the prefix.
func (e *etcdUser) gone(ctx context.Context, t etcdTask) (int, error) {
	var failed error
	left, err := until(ctx, func() int {
		r, err := e.client.Get(ctx, t.Prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if failed = err; err != nil {
			return -1
		}
		return int(r.Count)
	}, 0)
	return left, errors.Join(err, failed)
}
