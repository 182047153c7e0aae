// Package metrics counts and times what a server does, for Prometheus.
//
// Every app has a registry of its own. Metrics that Pitaya has too carry its
// names (wire.md 15.1), the others begin with cereus_. docs/metrics.md lists
// them all. A nil *Metrics and a nil *RouteMetrics are valid and do nothing.
// Observing allocates nothing, and every label has a bounded number of values.
package metrics

//go:generate go run ./internal/document ../docs/metrics.md
