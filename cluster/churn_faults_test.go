package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

func upTo(random *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(longest)))
}

// flap has something wrong with a proxy, again and again, and mends it.
func (s *storm) flap(ctx context.Context, proxy *faultproxy.Proxy, random *rand.Rand) error {
	for pause(ctx, time.Second+upTo(random, 3*time.Second)) {
		for range random.IntN(3) {
			proxy.Cut(faultproxy.RST)
			s.count("proxy flaps", nil)
			pause(ctx, upTo(random, 200*time.Millisecond))
		}
		if err := s.harm(proxy, random); err != nil {
			return err
		}
		pause(ctx, upTo(random, 4*time.Second))
		if err := mend(proxy); err != nil {
			return err
		}
	}
	return nil
}

// harm has one thing wrong with a proxy.
func (s *storm) harm(proxy *faultproxy.Proxy, random *rand.Rand) error {
	name := "proxy refuses"
	switch random.IntN(6) {
	case 0, 1:
		if err := proxy.Refuse(); err != nil {
			return err
		}
		proxy.Cut(faultproxy.RST)
	case 2:
		name = "proxy ends"
		proxy.Cut(faultproxy.FIN)
	case 3:
		name = "proxy freezes"
		proxy.Pause(faultproxy.Existing)
	case 4:
		name = "proxy freezes all"
		proxy.Pause(faultproxy.All)
	case 5:
		name = "proxy delays"
		proxy.Shape(faultproxy.Both, faultproxy.Shape{Delay: upTo(random, 400*time.Millisecond)})
	}
	s.count(name, nil)
	return nil
}

func mend(proxy *faultproxy.Proxy) error {
	proxy.Shape(faultproxy.Both, faultproxy.Shape{})
	proxy.Resume()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); pause(context.Background(), 20*time.Millisecond) {
		if err = proxy.Accept(); err == nil { // another process may have the port for a moment
			return nil
		}
	}
	return err
}

// restartEtcd restarts etcd from time to time, with its data.
func (s *storm) restartEtcd(ctx context.Context, random *rand.Rand) error {
	for pause(ctx, 5*time.Second+upTo(random, 7*time.Second)) {
		working, cancel := within(context.WithoutCancel(ctx))
		defer cancel()
		if err := s.etcd.StopEtcd(working); err != nil {
			return err
		}
		if random.IntN(2) == 0 {
			pause(ctx, upTo(random, 3*time.Second))
		}
		if err := s.etcd.RestartEtcd(working); err != nil {
			return err
		}
		s.count("etcd restarts", nil)
	}
	return nil
}

// compact has etcd forget most of what the ledger has seen.
func (s *storm) compact(ctx context.Context, random *rand.Rand) {
	for pause(ctx, 300*time.Millisecond+upTo(random, 2*time.Second)) {
		asking, cancel := context.WithTimeout(ctx, time.Second)
		_, err := s.client.Compact(asking, s.ledger.revision()-random.Int64N(5))
		cancel()
		if err == nil {
			s.count("compactions", nil)
		}
	}
}

// operate does what operators and programs do to what is in etcd.
func (s *storm) operate(ctx context.Context, random *rand.Rand) {
	all := []struct {
		name string
		do   func(context.Context, *rand.Rand) error
	}{
		{"lease revoked", s.revoke},
		{"key deleted", s.remove},
		{"same value put", s.putAgain},
		{"edited by operator", s.editOther},
		{"leader set", s.setLeader},
		{"leader unset", s.unsetLeader},
		{"leader key deleted", s.removeLeader},
		{"pitaya server put", s.putPitaya},
		{"pitaya server deleted", s.removePitaya},
		{"garbage put", s.putGarbage},
		{"nonce changed", s.stealKey},
	}
	for pause(ctx, upTo(random, 500*time.Millisecond)) {
		one := all[random.IntN(len(all))]
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := one.do(asking, random)
		cancel()
		if ctx.Err() == nil {
			s.count(one.name, err)
		}
	}
}

// pick is one key of etcd's, with its lease.
func (s *storm) pick(ctx context.Context, random *rand.Rand, folder string) (key string, lease clientv3.LeaseID, value string, err error) {
	resp, err := s.client.Get(ctx, "t/"+folder, clientv3.WithPrefix())
	if err != nil {
		return "", 0, "", err
	}
	if len(resp.Kvs) == 0 {
		return "", 0, "", fmt.Errorf("no key under %s", folder)
	}
	kv := resp.Kvs[random.IntN(len(resp.Kvs))]
	s.mu.Lock()
	s.revoked[kv.CreateRevision] = true // or perhaps: who asks for it does something to it
	s.mu.Unlock()
	return string(kv.Key), clientv3.LeaseID(kv.Lease), string(kv.Value), nil
}

func (s *storm) revoke(ctx context.Context, random *rand.Rand) error {
	_, lease, _, err := s.pick(ctx, random, "servers/")
	if err != nil || lease == 0 {
		return err
	}
	_, err = s.client.Revoke(ctx, lease)
	return err
}

func (s *storm) remove(ctx context.Context, random *rand.Rand) error {
	key, _, _, err := s.pick(ctx, random, "servers/")
	if err != nil {
		return err
	}
	_, err = s.client.Delete(ctx, key)
	return err
}

// putAgain writes what is there, as nobody needs to hear.
func (s *storm) putAgain(ctx context.Context, random *rand.Rand) error {
	key, _, value, err := s.pick(ctx, random, "servers/")
	if err != nil {
		return err
	}
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.Value(key), "=", value)).Then(clientv3.OpPut(key, value, clientv3.WithIgnoreLease())).Commit()
	return err
}

// stealKey has another process write a server's key, as one that does not ask
// whose it is.
func (s *storm) stealKey(ctx context.Context, random *rand.Rand) error {
	key, _, value, err := s.pick(ctx, random, "servers/")
	if err != nil {
		return err
	}
	other := strings.Replace(value, `"nonce":"`, `"nonce":"X`, 1)
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.Value(key), "=", value)).Then(clientv3.OpPut(key, other, clientv3.WithIgnoreLease())).Commit()
	return err
}

func (s *storm) editOther(ctx context.Context, random *rand.Rand) error {
	value := fmt.Sprint(random.IntN(4))
	servers := s.operator.d.Servers()
	if len(servers) == 0 {
		return nil
	}
	id := servers[random.IntN(len(servers))].ID
	_, err := s.operator.d.EditServer(ctx, id, Edit{Metadata: map[string]*string{"stack": &value}})
	return err
}

func (s *storm) setLeader(ctx context.Context, random *rand.Rand) error {
	servers := s.operator.d.Servers()
	if len(servers) == 0 {
		return nil
	}
	chosen := servers[random.IntN(len(servers))]
	return s.operator.d.SetLeader(ctx, chosen.Type, chosen.ID)
}

func (s *storm) unsetLeader(ctx context.Context, random *rand.Rand) error {
	return s.operator.d.SetLeader(ctx, s.actors[random.IntN(len(s.actors))].serverType, "")
}

func (s *storm) removeLeader(ctx context.Context, random *rand.Rand) error {
	_, err := s.client.Delete(ctx, "t/"+leaderKey(s.actors[random.IntN(len(s.actors))].serverType))
	return err
}

func pitayaKey(random *rand.Rand) (*Server, string) {
	p := &Server{ID: fmt.Sprintf("pitaya-%d", random.IntN(3)), Type: "room", Metadata: map[string]string{"n": fmt.Sprint(random.IntN(3))}}
	return p, "t/" + serverKey(p.Type, p.ID)
}

func (s *storm) putPitaya(ctx context.Context, random *rand.Rand) error {
	p, key := pitayaKey(random)
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, key, string(value))
	return err
}

func (s *storm) removePitaya(ctx context.Context, random *rand.Rand) error {
	_, key := pitayaKey(random)
	_, err := s.client.Delete(ctx, key)
	return err
}

func (s *storm) putGarbage(ctx context.Context, random *rand.Rand) error {
	_, key := pitayaKey(random)
	_, err := s.client.Put(ctx, key, "{")
	return err
}
