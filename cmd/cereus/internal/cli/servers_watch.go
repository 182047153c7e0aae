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
	json bool

	mu  sync.Mutex // guards all below
	out io.Writer
	err error // of the first write that failed
}

var (
	_ cluster.Listener      = (*watcher)(nil)
	_ cluster.ServerUpdater = (*watcher)(nil)
)

// watchServers prints who is there and every change until ctx ends.
func watchServers(ctx context.Context, cmd *cobra.Command, view *cluster.EtcdDiscovery, asJSON bool) error {
	w := &watcher{out: cmd.OutOrStdout(), json: asJSON}
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
func (w *watcher) AddServer(e cluster.Event) { w.say("add", e, w.line("+", e.Server, "")) }

// RemoveServer implements cluster.Listener.
func (w *watcher) RemoveServer(e cluster.Event) {
	how := string(e.Reason)
	if e.Reason == cluster.ReasonCrashed {
		how = "vanished"
	}
	w.say("remove", e, w.line("-", e.Server, how))
}

// UpdateServer implements cluster.ServerUpdater.
func (w *watcher) UpdateServer(e cluster.Event) {
	w.say("update", e, w.line("~", e.Server, difference(e.Before, e.Server)))
}

func (w *watcher) line(sign string, s *cluster.Server, what string) string {
	role := "backend"
	if s.Frontend {
		role = "frontend"
	}
	parts := []string{sign, clean(s.ID), clean(s.Type), role, clean(string(s.State)), "on", clean(s.Hostname), fmt.Sprintf("epoch=%d", s.Epoch)}
	if len(s.Metadata) > 0 {
		parts = append(parts, metadata(s))
	}
	if what != "" {
		parts = append(parts, "("+what+")")
	}
	return strings.Join(parts, " ")
}

func difference(before, after *cluster.Server) string {
	var what []string
	if before.State != after.State {
		what = append(what, fmt.Sprintf("state %s to %s", clean(string(before.State)), clean(string(after.State))))
	}
	if before.Weight != after.Weight {
		what = append(what, fmt.Sprintf("weight %d to %d", before.Weight, after.Weight))
	}
	if was, is := metadata(before), metadata(after); was != is {
		what = append(what, "metadata was "+was)
	}
	return strings.Join(what, ", ")
}

func (w *watcher) say(event string, e cluster.Event, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if !w.json {
		_, w.err = fmt.Fprintln(w.out, time.Now().Format(time.TimeOnly), line)
		return
	}
	w.err = json.NewEncoder(w.out).Encode(struct {
		Event  string         `json:"event"`
		Reason cluster.Reason `json:"reason"`
		Server serverJSON     `json:"server"`
	}{event, e.Reason, asJSON(e.Server)})
}

func (w *watcher) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
