package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

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
	mux.Handle("GET /healthz", healthz{checks{p.Degraded, p.Log}})
	mux.Handle("GET /readyz", readyz{checks{p.Checks, p.Log}})
	mux.Handle("GET /metrics", metricsHandler(p))
	if p.Pprof == WithPprof {
		mountPprof(mux)
	}
	if p.Token != "" && p.Discovery != nil {
		mux.Handle("/v1/", newAPI(p))
	}
	return mux
}

// healthz says that the process serves, and with what faults.
type healthz struct{ checks }

// ServeHTTP implements http.Handler.
func (h healthz) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text := "ok\n"
	for _, check := range h.run() {
		if check.Err == nil {
			continue
		}
		if text == "ok\n" {
			text = "degraded\n"
		}
		text += check.Name + ": " + strings.ReplaceAll(check.Err.Error(), "\n", "; ") + "\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) // the client is gone if it fails
}

// readyz answers a JSON list of what is not ready.
type readyz struct{ checks }

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

// checks is a function of the app's that tells how its parts are.
type checks struct {
	ask func() []Check
	log logrus.FieldLogger
}

// run calls the checks; one that panics is a fault.
func (c checks) run() (list []Check) {
	if c.ask == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			c.log.WithField("panic", fmt.Sprint(r)).Error("check of the app panicked")
			list = []Check{{"checks", fmt.Errorf("a check panicked: %v", r)}}
		}
	}()
	return c.ask()
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
