package dispatch

import (
	"strings"

	"github.com/agext/levenshtein"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/errs"
)

// handlerNotFound is wire.md 4.2; clients match on the text.
func handlerNotFound(full string) error {
	return errs.New(errs.CodeNotFound, "pitaya/handler: "+full+" not found")
}

// logNotFound helps whoever misspelled a route, or forgot that default names
// keep Go's case. What is asked for is chosen by clients: nothing above debug.
func (d *Dispatcher) logNotFound(route string) {
	d.Log.WithFields(logrus.Fields{"route": route, "nearest": nearest{d, shortOf(route)}}).
		Debug("no handler is registered for this route")
}

// nearest is the handler whose name is the fewest edits from that of a route.
// It is looked for when the log is written: at higher levels it costs nothing.
type nearest struct {
	d     *Dispatcher
	short string
}

// String is the handler's route, "" when no name is alike.
func (n nearest) String() string {
	best, least := "", 1+max(2, len(n.short)/2)
	for _, info := range n.d.Table.Routes() {
		if info.Remote {
			continue
		}
		if d := levenshtein.Distance(strings.ToLower(n.short), strings.ToLower(info.Short), nil); d < least {
			best, least = info.Short, d
		}
	}
	if best == "" {
		return ""
	}
	return n.d.Self.Type + "." + best
}

// MarshalText is String, for logs in JSON.
func (n nearest) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
