package main

import "slices"

// row is one line of the table.
type row struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Runs   []float64 `json:"runs"`
	Limits []*limit  `json:"limits,omitempty"`
	CPU    []float64 `json:"cpu_us,omitempty"` // µs of the measured process for one of the unit
	Allocs []float64 `json:"allocs,omitempty"` // for one of the unit
	// The same of the process that answers, where there is one.
	CalleeCPU []float64 `json:"callee_cpu_us,omitempty"`
	Callee    []float64 `json:"callee_allocs,omitempty"`

	AtMost       float64 `json:"at_most,omitempty"`        // goal for the median; 0: none
	AllocsAtMost float64 `json:"allocs_at_most,omitempty"` // goal for the median of Allocs; 0: none
	CalleeAtMost float64 `json:"callee_at_most,omitempty"` // the same of Callee
}

// limit is what a row is compared with.
type limit struct {
	Row    *row      `json:"-"`
	Name   string    `json:"name"` // of Row
	Ratios []float64 `json:"ratios"`
	Above  float64   `json:"above,omitempty"`   // goal for the median; 0: none
	AtMost float64   `json:"at_most,omitempty"` // the same
}

// beside compares the row with another that is measured in the same runs.
func (r *row) beside(other *row, above float64) *row {
	r.Limits = append(r.Limits, &limit{Row: other, Name: other.Name, Above: above})
	return r
}

// atMostTimes is beside for figures of which less is better.
func (r *row) atMostTimes(other *row, atMost float64) *row {
	r.beside(other, 0)
	r.Limits[len(r.Limits)-1].AtMost = atMost
	return r
}

// compare divides run by run.
func (r *row) compare() {
	for _, l := range r.Limits {
		l.Ratios = nil
		for i := range min(len(r.Runs), len(l.Row.Runs)) {
			l.Ratios = append(l.Ratios, r.Runs[i]/l.Row.Runs[i])
		}
	}
}

func lowest(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Min(values)
}

func highest(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Max(values)
}

// median is 0 without values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
