package config

// Metrics is what is measured and how it is labelled (wire.md 15.1).
type Metrics struct {
	Game             string            `key:"game" default:"" doc:"value of the label game on every metric"`
	ConstLabels      map[string]string `key:"constlabels" default:"" validate:"dive,keys,label,endkeys" doc:"labels with fixed values on every metric"`
	AdditionalLabels map[string]string `key:"additionallabels" default:"" validate:"dive,keys,label,endkeys" doc:"variable labels of handler metrics, with the value they have when a call gives none"`
	Custom           CustomMetrics     `key:"custom"`
	Prometheus       Prometheus        `key:"prometheus"`
}

// Prometheus is Pitaya's way to ask for /metrics. It opens admin.address on
// all interfaces when that is not set.
type Prometheus struct {
	Enabled bool `key:"enabled" default:"false" doc:"serve /metrics on metrics.prometheus.port of all interfaces, unless admin.address says where"`
	Port    int  `key:"port" default:"9090" validate:"gte=1,lte=65535" doc:"port for metrics.prometheus.enabled"`
}

// CustomMetrics are metrics of the application.
type CustomMetrics struct {
	Summaries  []CustomSummary   `key:"summaries" default:"" validate:"dive" doc:"summaries of the application: subsystem, name, help, labels, objectives"`
	Histograms []CustomHistogram `key:"histograms" default:"" validate:"dive" doc:"histograms of the application: subsystem, name, help, labels, buckets"`
	Gauges     []CustomMetric    `key:"gauges" default:"" validate:"dive" doc:"gauges of the application: subsystem, name, help, labels"`
	Counters   []CustomMetric    `key:"counters" default:"" validate:"dive" doc:"counters of the application: subsystem, name, help, labels"`
}

// CustomMetric is a gauge or counter named pitaya_<subsystem>_<name>.
type CustomMetric struct {
	Subsystem string
	Name      string `validate:"required"`
	Help      string
	Labels    []string `validate:"dive,label"`
}

// CustomSummary is a summary; Objectives maps quantiles to their allowed error.
type CustomSummary struct {
	Subsystem  string
	Name       string `validate:"required"`
	Help       string
	Labels     []string            `validate:"dive,label"`
	Objectives map[float64]float64 `validate:"dive,keys,gt=0,lt=1,endkeys,gte=0,lt=1"`
}

// CustomHistogram is a histogram; Buckets are upper bounds, rising.
type CustomHistogram struct {
	Subsystem string
	Name      string `validate:"required"`
	Help      string
	Labels    []string  `validate:"dive,label"`
	Buckets   []float64 `validate:"rising"`
}
