package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Document renders docs/metrics.md.
func Document() string {
	f := &factory{into: prometheus.NewRegistry()}
	newEvents(f)
	newTimings(f)
	f.register(newRuntimeCollector())
	f.register(newViewCollector(nil))
	var b strings.Builder
	b.WriteString(documentHead)
	for _, d := range f.defined {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, strings.Join(d.labels, ", "), d.help)
	}
	b.WriteString(documentTail())
	return b.String()
}

const documentHead = `# Metrics

<!-- Written by go generate ./metrics; change the package, not this file. -->

Served at ` + "`/metrics`" + ` of the admin address (` + "`admin.address`" + `). Every metric has the labels
` + "`game`" + ` and ` + "`serverType`" + `, those of ` + "`metrics.constlabels`" + ` and those of ` + "`metrics.additionallabels`" + `.
Metrics that Pitaya has too carry its names.

| name | type | labels | what it tells |
|---|---|---|---|
`

func documentTail() string {
	return fmt.Sprintf(`
The usual `+"`go_*` and `process_*`"+` metrics are there too, without labels of ours.

* `+"`kind`"+` of a request: `+"`local`"+` (a client's, served here), `+"`forward`"+` (a client's, answered by another server),
  `+"`rpc`"+` (a call of this server). `+"`type`"+` is Pitaya's: `+"`handler`, `rpc`"+`, and a forward counts as both.
* `+"`code`"+` is empty for status `+"`ok`"+`, else the error code on the wire.
* Pitaya's two summaries have sum and count but no quantiles: those cost half a microsecond and a lock
  for every request, 15 times as much as a histogram. Take quantiles
  from the histograms, for example
  `+"`histogram_quantile(0.99, sum by (le, route) (rate(cereus_request_duration_seconds_bucket[5m])))`"+`.
* Series are bounded: %d routes (what is not registered counts as `+"`unknown`"+`), %d codes per route, %d values of
  any other label, %d server types; all others count as `+"`other`"+`.
`, maxRoutes, maxCodes, maxValues, maxTypes)
}
