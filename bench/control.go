package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// order is one line from the parent to a child.
type order struct {
	Do   string          `json:"do"`
	Args json.RawMessage `json:"args,omitempty"`
}

// answer is the child's line for an order.
type answer struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// command carries out one order.
type command func(ctx context.Context, args json.RawMessage) (any, error)

// commands are what a role can do, by name.
type commands map[string]command

// does makes a command of a function with typed arguments and result.
func does[Args, Result any](fn func(context.Context, Args) (Result, error)) command {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args Args
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, err
			}
		}
		return fn(ctx, args)
	}
}

// obey carries out orders until the parent closes in, which it also does by dying.
func obey(ctx context.Context, in io.Reader, out io.Writer, known commands) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		if err := answers.Encode(carryOut(ctx, known, o)); err != nil {
			return fmt.Errorf("answer an order: %w", err)
		}
	}
}

func carryOut(ctx context.Context, known commands, o order) answer {
	do, ok := known[o.Do]
	if !ok {
		return answer{Error: "unknown order " + o.Do}
	}
	result, err := do(ctx, o.Args)
	if err != nil {
		return answer{Error: err.Error()}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Result: raw}
}
