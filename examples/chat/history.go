package main

import (
	"context"
	"encoding/json"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// kept is how many messages of a room a newcomer is shown.
const kept = 50

// History keeps the last messages of every room in etcd, where all servers of
// type room find them, also those that start later.
type History struct {
	etcd clientv3.KV
	turn sync.Mutex // one Add of this server at a time: they would only get into each other's way
}

// Last returns the last messages of a room, the oldest first.
func (h *History) Last(ctx context.Context, room string) ([]Message, error) {
	messages, _, err := h.read(ctx, room)
	return messages, err
}

// Add appends a message to its room's. Another server may do the same at the
// same moment: then only one of the two writes counts, and the other is tried again.
func (h *History) Add(ctx context.Context, m Message) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	for {
		messages, revision, err := h.read(ctx, m.Room)
		if err != nil {
			return err
		}
		messages = append(messages, m)
		value, err := json.Marshal(messages[max(0, len(messages)-kept):])
		if err != nil {
			return err
		}
		written, err := h.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(historyKey(m.Room)), "=", revision)).
			Then(clientv3.OpPut(historyKey(m.Room), string(value))).
			Commit()
		if err != nil || written.Succeeded {
			return err
		}
	}
}

func (h *History) read(ctx context.Context, room string) (messages []Message, revision int64, err error) {
	got, err := h.etcd.Get(ctx, historyKey(room))
	if err != nil || len(got.Kvs) == 0 {
		return []Message{}, 0, err
	}
	err = json.Unmarshal(got.Kvs[0].Value, &messages)
	return messages, got.Kvs[0].ModRevision, err
}

func historyKey(room string) string { return "cereus/chat/history/" + room }
