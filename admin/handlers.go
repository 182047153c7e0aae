package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

// Check is how one part of the app is.
type Check struct {
	Name string // a constant such as "nats"
	Err  error  // why it is not ready, nil when it is
}

// notReady is one entry of what /readyz answers.
type notReady struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

func newMux(p Params) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("GET /readyz", readyz{p.Checks, p.Log})
	mux.Handle("GET /metrics", metricsHandler(p))
	if p.Pprof == WithPprof {
		mountPprof(mux)
	}
	return mux
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client is gone if it fails
}

// readyz answers a JSON list of what is not ready.
type readyz struct {
	checks func() []Check
	log    logrus.FieldLogger
}

// ServeHTTP implements http.Handler.
func (h readyz) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	list := []notReady{}
	for _, check := range h.run() {
		if check.Err != nil {
			list = append(list, notReady{check.Name, check.Err.Error()})
		}
	}
	body, err := json.Marshal(list)
	if err != nil { // never: the list is text
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(list) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}

// run calls the checks; one that panics is not ready.
func (h readyz) run() (checks []Check) {
	if h.checks == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			h.log.WithField("panic", fmt.Sprint(r)).Error("readiness check panicked")
			checks = []Check{{"checks", fmt.Errorf("a check panicked: %v", r)}}
		}
	}()
	return h.checks()
}

func metricsHandler(p Params) http.Handler {
	registry := p.Registry
	if registry == nil {
		registry = prometheus.Gatherers{}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{p.Log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}

// scrapeLog is what promhttp tells its errors to.
type scrapeLog struct{ log logrus.FieldLogger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) {
	l.log.WithField("detail", fmt.Sprint(v...)).Warn("metrics could not be gathered")
}
