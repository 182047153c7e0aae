package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/cluster"
)

// lookInterval is how often a watch looks whether etcd is still there.
const lookInterval = 500 * time.Millisecond

// watcher prints changes as discovery tells them.
type watcher struct {
	flags serversFlags

	mu  sync.Mutex // guards all below
	out io.Writer
	err error // of the first write that failed
}

var (
	_ cluster.Listener       = (*watcher)(nil)
	_ cluster.ServerUpdater  = (*watcher)(nil)
	_ cluster.LeaderListener = (*watcher)(nil)
)

// watchServers prints who is there and every change until ctx ends.
func watchServers(ctx context.Context, cmd *cobra.Command, view *cluster.EtcdDiscovery, f serversFlags) error {
	w := &watcher{out: cmd.OutOrStdout(), flags: f}
	view.AddListener(w)
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return w.failed()
		case <-look.C:
		}
		if err := w.failed(); err != nil {
			return err
		}
		if stale := view.Stale(); stale != away {
			away = stale
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), weather(away))
		}
	}
}

func weather(away bool) string {
	if away {
		return "cereus: etcd does not answer, changes are shown when it is back"
	}
	return "cereus: etcd is back"
}

// AddServer implements cluster.Listener.
func (w *watcher) AddServer(e cluster.Event) { w.say(e, "+ "+describe(e.Server)+because(e, "")) }

// RemoveServer implements cluster.Listener.
func (w *watcher) RemoveServer(e cluster.Event) { w.say(e, "- "+describe(e.Server)+because(e, "")) }

// UpdateServer implements cluster.ServerUpdater.
func (w *watcher) UpdateServer(e cluster.Event) {
	w.say(e, "~ "+describe(e.Server)+because(e, difference(e.Before, e.Server)))
}

// LeaderChanged implements cluster.LeaderListener.
func (w *watcher) LeaderChanged(e cluster.Event) {
	if e.Reason == cluster.ReasonVacant {
		w.say(e, "* "+clean(e.Type)+": nobody leads"+because(e, ""))
		return
	}
	who := "somebody not known yet"
	if e.Server != nil {
		who = clean(e.Server.ID)
	}
	w.say(e, "* "+leaderLine(e.Type, who, e.Reason, e.Token))
}

// leaderLine says who leads a type.
func leaderLine(serverType, who string, reason cluster.Reason, token int64) string {
	return fmt.Sprintf("%s: %s leads (%s, token %d)", clean(serverType), who, reason, token)
}

// describe is a server in one line.
func describe(s *cluster.Server) string {
	role := "backend"
	if s.Frontend {
		role = "frontend"
	}
	parts := []string{
		clean(s.ID), clean(s.Type), role, clean(string(s.State)), "on", clean(s.Hostname),
		fmt.Sprintf("weight=%d", s.Share()), fmt.Sprintf("epoch=%d", s.Epoch),
	}
	if len(s.Metadata) > 0 {
		parts = append(parts, metadata(s))
	}
	return strings.Join(parts, " ")
}

// because is why, and what more there is to say.
func because(e cluster.Event, what string) string {
	if what != "" {
		return fmt.Sprintf(" (%s: %s)", e.Reason, what)
	}
	return fmt.Sprintf(" (%s)", e.Reason)
}

func difference(before, after *cluster.Server) string {
	var what []string
	if before.State != after.State {
		what = append(what, fmt.Sprintf("state %s to %s", clean(string(before.State)), clean(string(after.State))))
	}
	if before.Share() != after.Share() {
		what = append(what, fmt.Sprintf("weight %d to %d", before.Share(), after.Share()))
	}
	if was, is := metadata(before), metadata(after); was != is {
		what = append(what, "metadata was "+clean(was))
	}
	return strings.Join(what, ", ")
}

// eventJSON is an event as --watch --json prints it.
type eventJSON struct {
	Event  cluster.EventKind `json:"event"`
	Reason cluster.Reason    `json:"reason"`
	Type   string            `json:"type"`
	Token  int64             `json:"token,omitempty"` // of a leader
	Server *serverJSON       `json:"server"`          // null: the type has no leader
}

func (w *watcher) say(e cluster.Event, line string) {
	if !w.flags.shows(e.Type) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if !w.flags.json {
		_, w.err = fmt.Fprintln(w.out, time.Now().Format(time.TimeOnly), line)
		return
	}
	out := eventJSON{Event: e.Kind, Reason: e.Reason, Type: e.Type, Token: e.Token}
	if e.Server != nil {
		s := asJSON(e.Server)
		out.Server = &s
	}
	w.err = json.NewEncoder(w.out).Encode(out)
}

func (w *watcher) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
