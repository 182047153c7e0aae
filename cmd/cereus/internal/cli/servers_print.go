package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/cereus-game/cereus/cluster"
)

// serverJSON is a server as --json prints it.
type serverJSON struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Frontend bool              `json:"frontend"`
	State    cluster.State     `json:"state"`
	Hostname string            `json:"hostname"`
	Epoch    int64             `json:"epoch"`
	Weight   int               `json:"weight,omitempty"`
	Nonce    string            `json:"nonce,omitempty"`
	Caps     []string          `json:"caps,omitempty"`
	Cereus   bool              `json:"cereus"` // false for a server of Pitaya
	Metadata map[string]string `json:"metadata"`
}

func asJSON(s *cluster.Server) serverJSON {
	return serverJSON{
		ID: s.ID, Type: s.Type, Frontend: s.Frontend, State: s.State, Hostname: s.Hostname, Epoch: s.Epoch,
		Weight: s.Weight, Nonce: s.Nonce, Caps: s.Caps, Cereus: s.Cereus(), Metadata: s.Metadata,
	}
}

func listServers(w io.Writer, servers []*cluster.Server, f serversFlags) error {
	if f.json {
		all := make([]serverJSON, 0, len(servers))
		for _, s := range servers {
			all = append(all, asJSON(s))
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	if len(servers) == 0 {
		_, err := fmt.Fprintf(w, "no servers below %sservers/ (%s see --prefix)\n", f.prefix, otherPrefix(f.prefix))
		return err
	}
	return table(w, servers)
}

// otherPrefix asks about the prefix that was meant.
func otherPrefix(prefix string) string {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return "did you mean " + prefix + "/?"
	}
	return "another prefix?"
}

func table(w io.Writer, servers []*cluster.Server) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tTYPE\tFRONTEND\tSTATE\tHOSTNAME\tEPOCH\tMETADATA")
	for _, s := range servers {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			clean(s.ID), clean(s.Type), yes(s.Frontend), clean(string(s.State)), clean(s.Hostname), s.Epoch, metadata(s))
	}
	return t.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func metadata(s *cluster.Server) string {
	pairs := make([]string, 0, len(s.Metadata))
	for _, k := range slices.Sorted(maps.Keys(s.Metadata)) {
		pairs = append(pairs, clean(k+"="+s.Metadata[k]))
	}
	return strings.Join(pairs, " ")
}

// clean keeps what others wrote from steering the terminal.
func clean(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
