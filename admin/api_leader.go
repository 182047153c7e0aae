package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
)

const (
	// chooseTimeout bounds a change of leader: the old one ends its tasks first.
	chooseTimeout = 15 * time.Second
	// showTimeout bounds how long an answer waits to show the change it made.
	showTimeout = 3 * time.Second
)

// leader answers GET /v1/services/{type}/leader.
func (a *api) leader(r *http.Request) (answer, error) {
	s := a.discovery.Snapshot()
	serverType, err := serviceOf(s, r)
	if err != nil {
		return answer{}, err
	}
	if _, ok := s.Leader(serverType); !ok {
		return answer{}, problem{http.StatusNotFound, fmt.Sprintf("type %q has no leader now", serverType)}
	}
	return leaderAnswer(a.stamp(s), newLeaderJSON(s, serverType)), nil
}

func leaderAnswer(at stamp, l *leaderJSON) answer {
	return answer{revision: at.Revision, body: struct {
		stamp
		Leader *leaderJSON `json:"leader"`
	}{at, l}}
}

// choose answers PUT /v1/services/{type}/leader.
func (a *api) choose(r *http.Request) (answer, error) {
	body, err := readJSON(r)
	if err != nil {
		return answer{}, err
	}
	id, err := decodeChoice(body)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), editTimeout)
	defer cancel()
	if _, err := a.find(ctx, r.PathValue("type"), id); err != nil {
		return answer{}, err
	}
	return a.setLeader(r, r.PathValue("type"), id)
}

// unchoose answers DELETE /v1/services/{type}/leader.
func (a *api) unchoose(r *http.Request) (answer, error) {
	serverType := r.PathValue("type")
	if err := checkName("service", serverType); err != nil {
		return answer{}, err
	}
	return a.setLeader(r, serverType, "")
}

// decodeChoice reads {"id":"..."}.
func decodeChoice(body []byte) (string, error) {
	var fields map[string]*string
	err := json.Unmarshal(body, &fields)
	if id := fields["id"]; err == nil && len(fields) == 1 && id != nil {
		return *id, nil
	}
	return "", badRequest(`the body: want {"id":"<id of a server>"}`)
}

// setLeader changes the leader and answers once the view shows it; 202 when that
// takes longer.
func (a *api) setLeader(r *http.Request, serverType, id string) (answer, error) {
	elector, ok := a.discovery.(Elector)
	if !ok {
		return answer{}, problem{http.StatusNotImplemented, "this kind of service discovery has no leaders"}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), chooseTimeout)
	defer cancel()
	if err := elector.SetLeader(ctx, serverType, id); err != nil {
		return answer{}, err
	}
	log := a.log.WithFields(logrus.Fields{"type": serverType, "remote": r.RemoteAddr})
	if id == "" {
		log.Info("discovery api gave the leadership back to the longest registered")
	} else {
		log.WithField("server", id).Info("discovery api set a leader")
	}
	status := http.StatusOK
	if !a.shows(r.Context(), serverType, id) {
		status = http.StatusAccepted
	}
	s := a.discovery.Snapshot()
	ans := leaderAnswer(stamp{Revision: s.Revision()}, newLeaderJSON(s, serverType))
	ans.status = status
	return ans, nil
}

// shows waits until the view has the leader that was asked for.
func (a *api) shows(ctx context.Context, serverType, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	at := a.discovery.Snapshot()
	if leads(at, serverType, id) {
		return true
	}
	for e, err := range a.discovery.Follow(ctx, at.Seq()) {
		if err != nil {
			return false
		}
		if e.Kind == cluster.EventLeader && leads(a.discovery.Snapshot(), serverType, id) {
			return true
		}
	}
	return false
}

// leads reports whether the leader is the one chosen, or for "" nobody's choice.
func leads(s *cluster.Snapshot, serverType, id string) bool {
	l, ok := s.Leader(serverType)
	if id == "" {
		return !ok || !l.ByHand
	}
	return ok && l.ByHand && l.ID == id
}
