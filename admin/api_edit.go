package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
)

const (
	// editTimeout bounds a change of a server.
	editTimeout = 5 * time.Second
	// mergePatch is the media type of RFC 7396.
	mergePatch = "application/merge-patch+json"
)

// edit answers PATCH /v1/services/{type}/instances/{id}.
func (a *api) edit(r *http.Request) (answer, error) {
	editor, ok := a.discovery.(Editor)
	if !ok {
		return answer{}, problem{http.StatusNotImplemented, "servers of this kind of service discovery are not edited from outside"}
	}
	change, err := readEdit(r)
	if err != nil {
		return answer{}, err
	}
	// Whoever asked may go away: what began is finished, and told in the log.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), editTimeout)
	defer cancel()
	known, err := a.find(ctx, r.PathValue("type"), r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	edited, err := editor.EditServer(ctx, known.ID, change)
	if err != nil {
		return answer{}, err
	}
	a.log.WithFields(logrus.Fields{
		"server": edited.ID, "type": edited.Type, "revision": edited.Revision, "remote": r.RemoteAddr,
		"state": change.State, "weighed": change.Weight != nil, "keys": slices.Sorted(maps.Keys(change.Metadata)),
	}).Info("discovery api edited a server")
	// The view may not have come to the edit yet.
	return a.instanceAnswer(stamp{Revision: max(a.discovery.Snapshot().Revision(), edited.Revision)}, edited), nil
}

// find is instanceOf for a change, which may be of a server that just came.
func (a *api) find(ctx context.Context, serverType, id string) (*cluster.Server, error) {
	known, err := instanceOf(a.discovery.Snapshot(), serverType, id)
	if err == nil || problemOf(err).status != http.StatusNotFound {
		return known, err
	}
	if err := a.discovery.SyncServers(ctx); err != nil {
		return nil, err
	}
	return instanceOf(a.discovery.Snapshot(), serverType, id)
}

// readEdit is what a request wants to be changed.
func readEdit(r *http.Request) (cluster.Edit, error) {
	body, err := readJSON(r, mergePatch)
	if err != nil {
		return cluster.Edit{}, err
	}
	change, err := decodePatch(body)
	if err != nil {
		return cluster.Edit{}, err
	}
	change.IfRevision, err = ifMatch(r.Header)
	return change, err
}

// readJSON reads a body that says it is JSON, or of another type that is.
func readJSON(r *http.Request, others ...string) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !slices.Contains(others, kind) {
		return nil, problem{http.StatusUnsupportedMediaType, "send JSON, with the header Content-Type: application/json"}
	}
	body, err := io.ReadAll(r.Body)
	if long, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, problem{http.StatusRequestEntityTooLarge, "the body is too long: send at most " + strconv.FormatInt(long.Limit, 10) + " bytes"}
	}
	if err != nil {
		return nil, badRequest("the body could not be read: %v", err)
	}
	return body, nil
}

// ifMatch is the revision that If-Match asks for; 0 is none. A proxy that
// compresses makes an ETag weak, which changes nothing about the revision in it.
func ifMatch(h http.Header) (int64, error) {
	tag := strings.Trim(strings.Join(h.Values("If-Match"), ","), " \t")
	if tag == "" || tag == "*" { // that there is such a server is asked anyway
		return 0, nil
	}
	tag = strings.TrimPrefix(tag, "W/")
	if quoted, ok := strings.CutPrefix(tag, `"`); ok {
		tag = strings.TrimSuffix(quoted, `"`)
	}
	revision, err := strconv.ParseUint(tag, 10, 63) // of an int64, without a sign
	if err != nil || revision == 0 {
		return 0, badRequest("If-Match: send the one ETag that GET of the instance answered")
	}
	return int64(revision), nil
}

// decodePatch reads a JSON merge patch (RFC 7396) of an instance.
func decodePatch(body []byte) (cluster.Edit, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return cluster.Edit{}, badRequest(`the body: want a JSON object such as {"state":"paused","weight":50,"metadata":{"set":"to this","delete":null}}`)
	}
	var e cluster.Edit
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		faults = append(faults, patchField(&e, name, fields[name]))
	}
	if err := errors.Join(faults...); err != nil {
		return cluster.Edit{}, problem{http.StatusBadRequest, err.Error()}
	}
	return e, nil
}

// patchField adds one field of a patch to e. What a field may say is checked by
// who carries out the edit; null, which takes away, is for metadata only.
func patchField(e *cluster.Edit, name string, raw json.RawMessage) error {
	var err error
	switch name {
	case "state":
		if err = json.Unmarshal(raw, &e.State); err != nil || e.State == "" {
			return badRequest("state: want up, busy, draining or paused")
		}
	case "weight":
		if err = json.Unmarshal(raw, &e.Weight); err != nil || e.Weight == nil {
			return badRequest("weight: want a whole number of 0 to %d", cluster.MaxWeight)
		}
	case "metadata":
		if err = json.Unmarshal(raw, &e.Metadata); err != nil || e.Metadata == nil {
			return badRequest("metadata: want an object whose values are text, or null to delete the key")
		}
	default:
		if !cluster.ValidServerName(name) { // answers never repeat more than a name
			name = "a field"
		}
		return badRequest("%s cannot be changed: use state, weight and metadata", name)
	}
	return nil
}
