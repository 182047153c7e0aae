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
	Weight   int               `json:"weight"`
	Hostname string            `json:"hostname"`
	Epoch    int64             `json:"epoch"`
	Revision int64             `json:"revision"`
	Nonce    string            `json:"nonce,omitempty"`
	Caps     []string          `json:"caps"`
	Cereus   bool              `json:"cereus"` // false for a server of Pitaya
	Metadata map[string]string `json:"metadata"`
}

// listedJSON is a server as of one moment, at which it leads its type or not.
type listedJSON struct {
	serverJSON

	Leader *leadJSON `json:"leader"` // null: it does not
}

// leadJSON is how a server leads its type.
type leadJSON struct {
	Token  int64 `json:"token"`
	ByHand bool  `json:"by_hand"`
}

func asJSON(s *cluster.Server) serverJSON {
	return serverJSON{
		ID: s.ID, Type: s.Type, Frontend: s.Frontend, State: s.State, Weight: s.Weight, Hostname: s.Hostname,
		Epoch: s.Epoch, Revision: s.Revision, Nonce: s.Nonce, Caps: append([]string{}, s.Caps...), Cereus: s.Cereus(), Metadata: s.Metadata,
	}
}

func listed(s *cluster.Server, in *cluster.Snapshot) listedJSON {
	out := listedJSON{serverJSON: asJSON(s)}
	if l, ok := in.Leader(s.Type); ok && l.ID == s.ID {
		out.Leader = &leadJSON{Token: l.Token, ByHand: l.ByHand}
	}
	return out
}

func listServers(w io.Writer, in *cluster.Snapshot, f serversFlags) error {
	servers := slices.DeleteFunc(slices.Clone(in.Servers()), func(s *cluster.Server) bool { return !f.shows(s.Type) })
	if f.json {
		all := make([]listedJSON, 0, len(servers))
		for _, s := range servers {
			all = append(all, listed(s, in))
		}
		return printJSON(w, all)
	}
	if len(servers) == 0 {
		_, err := fmt.Fprintln(w, nobody(in, f))
		return err
	}
	return table(w, servers, in)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// nobody says that there is nothing to list, and what may have been meant.
func nobody(in *cluster.Snapshot, f serversFlags) string {
	if len(in.Servers()) == 0 {
		return f.noServers()
	}
	return fmt.Sprintf("no servers of type %s; %s", strings.Join(f.types, " or "), known(in.Types()))
}

func (c connection) noServers() string {
	return fmt.Sprintf("no servers below %sservers/ (%s see --prefix)", clean(c.prefix), otherPrefix(c.prefix))
}

// otherPrefix asks about the prefix that was meant.
func otherPrefix(prefix string) string {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return "did you mean " + clean(prefix) + "/?"
	}
	return "another prefix?"
}

func table(w io.Writer, servers []*cluster.Server, in *cluster.Snapshot) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tTYPE\tFRONTEND\tSTATE\tWEIGHT\tLEADER\tHOSTNAME\tEPOCH\tREVISION\tMETADATA")
	for _, s := range servers {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\n",
			clean(s.ID), clean(s.Type), yes(s.Frontend), clean(string(s.State)), s.Share(), leads(s, in),
			clean(s.Hostname), s.Epoch, s.Revision, clean(metadata(s)))
	}
	return t.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// leads says whether a server leads its type.
func leads(s *cluster.Server, in *cluster.Snapshot) string {
	l, ok := in.Leader(s.Type)
	switch {
	case !ok || l.ID != s.ID:
		return "no"
	case l.ByHand:
		return "by hand"
	}
	return "yes"
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
