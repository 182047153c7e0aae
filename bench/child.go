package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// patience is how long a child may take beyond what it was told to measure.
const patience = 30 * time.Second

// child is a process of this program in one of its roles.
type child struct {
	role    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

// startChild runs this program again in a role.
func startChild(role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), self, "-role", role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	return &child{role: role, cmd: cmd, in: in, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

// ask gives an order and reads its result. A child that does not answer in time
// is killed, which fails the reading.
func (c *child) ask(ctx context.Context, do string, args, result any) error {
	overdue := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer overdue()
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if err := c.orders.Encode(order{Do: do, Args: raw}); err != nil {
		return fmt.Errorf("%s: %s: %w", c.role, do, err)
	}
	var a answer
	if err := c.answers.Decode(&a); err != nil {
		return fmt.Errorf("%s ended during %s: %w", c.role, do, errors.Join(err, context.Cause(ctx)))
	}
	if a.Error != "" {
		return fmt.Errorf("%s: %s: %s", c.role, do, a.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(a.Result, result)
}

// stop lets the child end, and ends it when it does not.
func (c *child) stop() error {
	kill := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.in.Close() // the child reads the end of its orders
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	return nil
}

// kill ends the child as a crash does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // says that it was killed
}
