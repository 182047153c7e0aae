package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// Bounds of the time that a profile or trace is recorded for.
const (
	defaultProfile = 30 * time.Second
	defaultTrace   = time.Second
	maxRecording   = 90 * time.Second // below writeTimeout
)

// mountPprof serves what "go tool pprof" and "go tool trace" read. It does not
// use net/http/pprof, whose import alone adds profiles to the default mux of
// every program that links this package.
func mountPprof(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", listProfiles)
	mux.HandleFunc("GET /debug/pprof/{name}", oneProfile)
	mux.HandleFunc("GET /debug/pprof/profile", recorder(defaultProfile, pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /debug/pprof/trace", recorder(defaultTrace, trace.Start, trace.Stop))
}

func listProfiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "%s %d\n", p.Name(), p.Count())
	}
	_, _ = fmt.Fprint(w, "profile ?seconds=30\ntrace ?seconds=1\n")
}

// oneProfile writes a profile, as text with ?debug=1 or 2, after a collection
// with ?gc=1.
func oneProfile(w http.ResponseWriter, r *http.Request) {
	profile := pprof.Lookup(r.PathValue("name"))
	if profile == nil {
		http.NotFound(w, r)
		return
	}
	debug := 0
	if text := r.FormValue("debug"); text != "" {
		var err error
		if debug, err = strconv.Atoi(text); err != nil {
			http.Error(w, "debug: want 0, 1 or 2", http.StatusBadRequest)
			return
		}
	}
	if r.FormValue("gc") == "1" {
		runtime.GC()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug != 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = profile.WriteTo(w, debug) // the client is gone if it fails
}

// recorder records for ?seconds, or until the client goes.
func recorder(usual time.Duration, start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		length := usual
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || !(seconds > 0 && seconds <= maxRecording.Seconds()) {
				http.Error(w, fmt.Sprintf("seconds: want a number up to %v", maxRecording.Seconds()), http.StatusBadRequest)
				return
			}
			length = time.Duration(seconds * float64(time.Second))
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := start(w); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		defer stop()
		ctx, cancel := context.WithTimeout(r.Context(), length)
		defer cancel()
		<-ctx.Done()
	}
}
