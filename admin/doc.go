// Package admin serves health, readiness, metrics and profiles of an app over
// HTTP, on an address that is off by default and meant for operators only.
//
//	/healthz       200 while the process serves at all
//	/readyz        200 and [], or 503 and what is not ready and why
//	/metrics       Prometheus
//	/debug/pprof/  profiles, when asked for
package admin
