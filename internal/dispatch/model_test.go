package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/protocol"
)

// TestModelOrder lets sessions talk to backends while the bus moves, breaks,
// delays and doubles messages and backends come and go, and then checks what
// was promised: per session and server everything ran in the order sent and at
// most once, and every request has exactly one outcome.
func TestModelOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

const (
	modelSessions = 8
	modelMessages = 400
)

func runModel(t *testing.T, rng *rand.Rand) {
	w := newWorld(t)
	fronts := []*node{w.start("front-1", "front"), w.start("front-2", "front")}
	backs := []*node{w.start("room-1", "room"), w.start("room-2", "room"), w.start("room-3", "room")}
	all := append([]*node(nil), backs...)
	var players []*player
	for i := range modelSessions {
		players = append(players, w.player(fronts[i%2]))
	}
	var talking sync.WaitGroup
	for i, p := range players {
		seed := rng.Uint64()
		talking.Go(func() {
			p.talk(rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
	done := make(chan struct{})
	go func() { talking.Wait(); close(done) }()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-time.After(time.Duration(rng.IntN(8)) * time.Millisecond):
			w.disturb(rng, fronts, backs, &all)
		}
	}
	w.bus.SetFaults(nil)
	for _, p := range players {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		require.NoError(t, p.inbox.Drain(ctx))
		cancel()
	}
	check(t, players, append(all, fronts...))
}

// talk sends numbers 1, 2, 3 ... as requests and notifies, to rooms and to the
// frontend itself.
func (p *player) talk(rng *rand.Rand) {
	for number := uint32(1); number <= modelMessages; number++ {
		kind := protocol.MessageNotify
		if rng.IntN(2) == 0 {
			kind = protocol.MessageRequest
		}
		p.sendTo([]string{"room.", "room.", "room.", ""}[rng.IntN(4)], kind, number)
	}
}

// disturb does one of the things that happen to a cluster.
func (w *world) disturb(rng *rand.Rand, fronts, backs []*node, all *[]*node) {
	some := fronts[rng.IntN(len(fronts))]
	if rng.IntN(2) == 0 {
		some = backs[rng.IntN(len(backs))]
	}
	switch rng.IntN(7) {
	case 0, 1:
		some.transport.Move()
	case 2:
		some.transport.Disconnect()
		some.transport.Reconnect()
	case 3:
		i := rng.IntN(len(backs))
		backs[i].stop(fronts...)
		w.restart(backs, i, all)
	case 6:
		i := rng.IntN(len(backs))
		backs[i].kill(fronts...)
		w.restart(backs, i, all)
	case 4:
		var mu sync.Mutex
		faults := rand.New(rand.NewPCG(rng.Uint64(), 1))
		w.bus.SetFaults(func(cluster.MemoryMessage) cluster.MemoryFault {
			mu.Lock()
			defer mu.Unlock()
			switch faults.IntN(20) {
			case 0:
				return cluster.MemoryFault{Delay: time.Duration(faults.IntN(5)) * time.Millisecond}
			case 1:
				return cluster.MemoryFault{Copies: 1}
			}
			return cluster.MemoryFault{}
		})
	case 5:
		w.bus.SetFaults(nil)
	}
}

func (w *world) restart(backs []*node, i int, all *[]*node) {
	backs[i] = w.start(backs[i].self.ID, "room")
	*all = append(*all, backs[i])
}

// check holds what ran and what was answered against what was promised.
func check(t *testing.T, players []*player, all []*node) {
	replies, failures, runs := 0, 0, 0
	for _, p := range players {
		ran := make(map[uint32]int)
		for _, n := range all {
			numbers := n.rec.of(p)
			require.True(t, rising(numbers), "order on %s: %v", n.self.Nonce, numbers)
			for _, number := range numbers {
				ran[number]++
				require.Equal(t, 1, ran[number], "number %d of session %d ran twice", number, p.s.ID())
				runs++
			}
		}
		p.mu.Lock()
		for number := range p.asked {
			outcomes := p.answers[uint64(number)]
			require.Len(t, outcomes, 1, "outcomes of request %d", number)
			if outcomes[0] == nil {
				replies++
				require.Equal(t, 1, ran[number], "a reply to what did not run")
			} else {
				failures++
			}
		}
		require.Len(t, p.answers, len(p.asked), "answers to what was not asked")
		p.mu.Unlock()
	}
	t.Logf("%d ran, %d replies, %d typed errors", runs, replies, failures)
}

func rising(numbers []uint32) bool {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			return false
		}
	}
	return true
}
