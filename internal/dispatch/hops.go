package dispatch

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// tooManyHops stands for every number of hops beyond what is counted.
const tooManyHops = constants.MaxHops + 1

// parseHops reads a number of digits.
func parseHops(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil { // longer than any that is served
		return tooManyHops
	}
	return int(min(n, tooManyHops))
}

// hopsOf reads what a server that is not ours may have made of the number; what
// is no number counts as missing.
func hopsOf(raw string) int {
	if raw == "" || raw[0] == '"' {
		return 0
	}
	if strings.Trim(raw, "0123456789") == "" {
		return parseHops(raw)
	}
	var n json.Number
	if json.Unmarshal([]byte(raw), &n) != nil || n == "" {
		return 0
	}
	f, err := n.Float64()
	switch {
	case err != nil || f > tooManyHops: // beyond what a float64 holds
		return tooManyHops
	case f < 0:
		return 0
	}
	return int(f)
}

// checkHops refuses a call that the call which ctx serves may not make any more.
func checkHops(ctx context.Context) error {
	if c := FromContext(ctx); c != nil && c.meta.hops >= constants.MaxHops {
		return errs.ErrTooManyHops
	}
	return nil
}
