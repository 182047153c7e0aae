package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeTable prints what people read.
func writeTable(w io.Writer, rows []*row) error {
	var text strings.Builder
	text.WriteString("what\tmedian\tmin .. max\tunit\tgoal\tCPU µs\tallocs\tcallee CPU µs\tcallee allocs\tbeside its limit\n")
	for _, r := range rows {
		fmt.Fprintf(&text, "%s\t%s\t%s .. %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name,
			number(median(r.Runs)), number(lowest(r.Runs)), number(highest(r.Runs)), r.Unit,
			goals(r), optional(r.CPU), optional(r.Allocs), optional(r.CalleeCPU), optional(r.Callee), ratios(r))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, text.String()); err != nil {
		return err
	}
	return t.Flush()
}

// report is what programs read.
type report struct {
	Machine machine `json:"machine"`
	Rows    []*row  `json:"rows"`
}

func writeJSON(w io.Writer, r report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func optional(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", median(values))
}

func ratios(r *row) string {
	var all []string
	for _, l := range r.Limits {
		all = append(all, fmt.Sprintf("%.2f (%.2f..%.2f) of %s", median(l.Ratios), lowest(l.Ratios), highest(l.Ratios), l.Name))
	}
	return strings.Join(all, ", ")
}

// goals says for each goal of the row whether it was reached.
func goals(r *row) string {
	var all []string
	for _, l := range r.Limits {
		if l.Above > 0 {
			all = append(all, fmt.Sprintf("above %.2g: %s", l.Above, verdict(median(l.Ratios) > l.Above)))
		}
		if l.AtMost > 0 {
			all = append(all, fmt.Sprintf("at most %.1f times: %s", l.AtMost, verdict(median(l.Ratios) <= l.AtMost)))
		}
	}
	if r.AtMost > 0 {
		all = append(all, fmt.Sprintf("at most %.0f: %s", r.AtMost, verdict(median(r.Runs) <= r.AtMost)))
	}
	if r.AllocsAtMost > 0 {
		all = append(all, fmt.Sprintf("at most %.0f allocs: %s", r.AllocsAtMost, verdict(median(r.Allocs) <= r.AllocsAtMost)))
	}
	if r.CalleeAtMost > 0 {
		all = append(all, fmt.Sprintf("at most %.0f allocs of the callee: %s", r.CalleeAtMost, verdict(median(r.Callee) <= r.CalleeAtMost)))
	}
	return strings.Join(all, ", ")
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "MISSED"
}
