package cereus_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// logOutcomes prints what became of the calls of both phases.
func logOutcomes(t *testing.T, s *siege, before, during phase) {
	t.Helper()
	began := s.began()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	rows := make(map[string]*outcomeRow)
	for name, p := range map[string]phase{"quiet": before, "faults": during} {
		for _, e := range p.all {
			key := name + " " + kindOfCall(e)
			if rows[key] == nil {
				rows[key] = &outcomeRow{outcomes: make(map[string]int)}
			}
			rows[key].add(e, began[e.id])
		}
	}
	kinds := make(map[string]bool)
	for _, r := range rows {
		for k := range r.outcomes {
			kinds[k] = true
		}
	}
	columns := slices.Sorted(maps.Keys(kinds))
	fmt.Fprintf(w, "\tsent\t%s\tsum\tran twice\tp50\tp99\tmax\t\n", strings.Join(columns, "\t"))
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(rows))) {
		r := rows[key]
		fmt.Fprintf(w, "%s\t%d\t", key, r.sent)
		sum := 0
		for _, c := range columns {
			sum += r.outcomes[c]
			fmt.Fprintf(w, "%d\t", r.outcomes[c])
		}
		fmt.Fprintf(w, "%d\t%d\t%v\t%v\t%v\t\n", sum, r.twice, short(r.took, 50), short(r.took, 99), short(r.took, 100))
	}
	_ = w.Flush()
	t.Logf("calls, by how they ended:\n%s", b.String())
	faults := make(map[string]int)
	for _, f := range s.faults {
		name := f.name
		switch {
		case f.front != "":
			name += " of a frontend's way"
		case f.name != "kill" && f.server != "":
			name += " of a backend's way"
		}
		faults[name]++
	}
	t.Logf("%v of quiet, %v with %d faults: %v", before.length.Round(time.Second), during.length.Round(time.Second), len(s.faults), faults)
}

func kindOfCall(e *ending) string {
	switch {
	case e.player != nil:
		return "players' messages"
	case e.idempotent():
		return "idempotent calls"
	}
	return "calls"
}

func short(took []time.Duration, p float64) time.Duration {
	return percentile(took, p).Round(100 * time.Microsecond)
}

// outcomeRow is the calls of one kind.
type outcomeRow struct {
	sent, twice int
	outcomes    map[string]int
	took        []time.Duration
}

func (r *outcomeRow) add(e *ending, began int) {
	r.sent++
	if e.answered == 1 {
		r.outcomes[kindOf(e.err)]++
	}
	if began > 1 {
		r.twice++
	}
	r.took = append(r.took, e.took)
}
