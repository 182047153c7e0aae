package cluster

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// errBadLoad: bytes on the subject of load reports that are none.
var errBadLoad = errors.New("the load report is too long, not protobuf, or has values out of bounds")

// loadReport is one report as it travels.
type loadReport struct {
	id, serverType, nonce string
	interval              time.Duration
	load                  Load
}

// message is the report for the wire.
func (r *loadReport) message() *clusterpb.Load {
	return &clusterpb.Load{
		Id: r.id, Type: r.serverType, Nonce: r.nonce,
		IntervalMs: uint64(max(r.interval.Milliseconds(), 1)),
		Cpu:        r.load.CPU, Memory: r.load.Memory,
		Goroutines: uint64(r.load.Goroutines), Sessions: uint64(r.load.Sessions), InFlight: uint64(r.load.InFlight),
		Values: r.load.Values,
	}
}

// decodeLoad reads a report, which may come from anybody.
func decodeLoad(data []byte) (*loadReport, error) {
	if len(data) > maxLoadReport {
		return nil, errBadLoad
	}
	var m clusterpb.Load
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &m); err != nil || !validLoad(&m) {
		return nil, errBadLoad
	}
	return &loadReport{
		id: m.Id, serverType: m.Type, nonce: m.Nonce,
		interval: time.Duration(m.IntervalMs) * time.Millisecond,
		load: Load{
			CPU: m.Cpu, Memory: m.Memory,
			Goroutines: int(m.Goroutines), Sessions: int(m.Sessions), InFlight: int(m.InFlight),
			Values: m.Values,
		},
	}, nil
}

// validLoad checks the bounds. Whether there is such a server is another question.
func validLoad(m *clusterpb.Load) bool {
	if m.IntervalMs == 0 || m.IntervalMs > uint64(maxLoadInterval.Milliseconds()) {
		return false
	}
	if !(m.Cpu >= 0 && m.Cpu <= 1) { // NaN is neither
		return false
	}
	if max(m.Goroutines, m.Sessions, m.InFlight) > maxLoadCount || len(m.Values) > MaxLoadValues {
		return false
	}
	for name, value := range m.Values {
		if !validLoadValue(name, value) {
			return false
		}
	}
	return true
}

// validLoadValue: the alphabet and the length of a name are those of a server's.
func validLoadValue(name string, value float64) bool {
	return ValidServerName(name) && !math.IsNaN(value) && !math.IsInf(value, 0)
}

// reportable is a copy of the application's values without those that others
// would refuse; of too many the first by name.
func reportable(values map[string]float64) map[string]float64 {
	kept := maps.Clone(values)
	maps.DeleteFunc(kept, func(name string, value float64) bool { return !validLoadValue(name, value) })
	if len(kept) <= MaxLoadValues {
		return kept
	}
	for _, name := range slices.Sorted(maps.Keys(kept))[MaxLoadValues:] {
		delete(kept, name)
	}
	return kept
}
