package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cereus-game/cereus/cluster"
)

// stamp is of when an answer is.
type stamp struct {
	Revision int64 `json:"revision"` // of etcd
	Stale    bool  `json:"stale,omitempty"`
}

// answer is what a request that was understood is told.
type answer struct {
	status   int   // 200 when zero
	revision int64 // of etcd, of which the answer is
	etag     int64 // of the instance; 0 is none
	body     any
}

func (a answer) write(w http.ResponseWriter) {
	setRevision(w, a.revision)
	if a.etag != 0 {
		w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(a.etag, 10)))
	}
	writeJSON(w, cmp.Or(a.status, http.StatusOK), a.body)
}

func setStale(w http.ResponseWriter) { w.Header().Set("X-Cereus-Stale", "1") }

func setRevision(w http.ResponseWriter, revision int64) {
	w.Header().Set("X-Cereus-Revision", strconv.FormatInt(revision, 10))
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)                 // errors are for people to read
	if err := out.Encode(body); err != nil { // a load of the app's that is no JSON
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"error":"the answer cannot be written as JSON: see the values of the load"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // the client is gone if it fails
}

// problem is what a request that is not carried out is told.
type problem struct {
	status int
	text   string
}

// Error implements error.
func (p problem) Error() string { return p.text }

func badRequest(format string, args ...any) error {
	return problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// refuse tells why a request is not carried out, and what to do.
func refuse(w http.ResponseWriter, err error) {
	p := problemOf(err)
	switch p.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnsupportedMediaType:
		w.Header().Set("Accept-Patch", mergePatch+", application/json")
	}
	writeJSON(w, p.status, map[string]string{"error": p.text})
}

// problemOf finds the status of an error.
func problemOf(err error) problem {
	if known, ok := errors.AsType[problem](err); ok {
		return known
	}
	status := http.StatusBadGateway // etcd would not
	switch {
	case errors.Is(err, cluster.ErrInvalidEdit):
		status = http.StatusBadRequest
	case errors.Is(err, cluster.ErrServerUnknown):
		status = http.StatusNotFound
	case errors.Is(err, cluster.ErrUnfit):
		status = http.StatusConflict
	case errors.Is(err, cluster.ErrRevision):
		status = http.StatusPreconditionFailed
	case errors.Is(err, cluster.ErrNotRunning):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return problem{http.StatusGatewayTimeout, "no answer in time, so the change may or may not have been made: look before you try again (" + err.Error() + ")"}
	}
	return problem{status, err.Error()}
}

// refuseAs tells in JSON what a handler of net/http tells in plain text.
func refuseAs(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	heard := &statusOnly{header: http.Header{}}
	handler.ServeHTTP(heard, r)
	text := "there is no such route: see the package documentation of admin"
	if allow := heard.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		text = "this route takes " + allow
	}
	refuse(w, problem{heard.status, text})
}

// statusOnly is a http.ResponseWriter that keeps status and header.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
