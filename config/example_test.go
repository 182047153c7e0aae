package config_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cereus-game/cereus/config"
)

// Code wins over environment, environment over file, file over defaults.
func ExampleLoad() {
	cfg, report, err := config.Load(config.Options{
		Reader: strings.NewReader(`
cereus:
  heartbeat: {interval: 10s}
  cluster: {sd: {etcd: {heartbeat: {ttl: 5s}}}}`),
		Env:       func() []string { return []string{"CEREUS_CLUSTER_SD_ETCD_ENDPOINTS=etcd-1:2379,etcd-2:2379"} },
		Overrides: map[string]any{"heartbeat.interval": "15s"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	etcd := cfg.Cluster.SD.Etcd
	fmt.Println(cfg.Heartbeat.Interval, etcd.Heartbeat.TTL, etcd.Endpoints, etcd.Prefix)
	fmt.Println(report.Origin("heartbeat.interval"))
	// Output:
	// 15s 5s [etcd-1:2379 etcd-2:2379] cereus/
	// code
}

// A file written for Pitaya loads under its own root; the report tells what
// means nothing here.
func ExampleLoad_pitaya() {
	cfg, report, err := config.Load(config.Options{
		Root: config.PitayaRoot,
		Reader: strings.NewReader(`
pitaya:
  heartbeat: {interval: 60s}
  concurrency: {handler: {dispatch: 25}}`),
		Env: func() []string { return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.Heartbeat.Interval, cfg.Cluster.SD.Etcd.Prefix)
	for _, note := range report.Ignored {
		fmt.Println(note)
	}
	// Output:
	// 1m0s pitaya/
	// pitaya.concurrency.handler.dispatch (file): is ignored: players run in parallel, each player's messages in order
}

// All faults come together.
func ExampleLoad_faults() {
	_, _, err := config.Load(config.Options{
		Reader: strings.NewReader("cereus: {heartbeat: {intreval: 10s}, conn: {mailbox: 0}}"),
		Env:    func() []string { return nil },
	})
	fmt.Println(err)
	var fault *config.Fault
	fmt.Println(errors.As(err, &fault))
	// Output:
	// 2 faults in the configuration:
	// config: cereus.heartbeat.intreval (file): is not a known key: did you mean cereus.heartbeat.interval?
	// config: cereus.conn.mailbox = "0" (file): must be at least 1
	// true
}

// Settings can be changed in code, too.
func ExampleDefault() {
	cfg := config.Default()
	cfg.Conn.Limits.Packet = 128 << 10
	fmt.Println(cfg.Validate())
	// Output: <nil>
}
