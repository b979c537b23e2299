package slot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
)

// Command keeps the variables where two commands do, such as
//
//	slot.Command{Get: []string{"fw_printenv"}, Set: []string{"fw_setenv", "-s", "-"}}
//
// which are those of libubootenv for U-Boot. Set is run once for all that a
// Write changes, so that the environment is written once; it is there as a whole
// or not at all if the environment is redundant, that is, if fw_env.config has
// two lines.
//
// fw_printenv gives the default environment in place of one that it cannot
// read, where /etc/u-boot-initial-env has one, and says that all is well: Slots
// notice that the variables are gone, but no others do.
type Command struct {
	Get []string // required: writes NAME=VALUE lines to its standard output
	// Set reads such lines from its standard input. An empty VALUE removes the
	// variable. Required.
	Set []string
}

// Read implements Boot.
func (c Command) Read(ctx context.Context) (Vars, error) {
	all, err := c.read(ctx)
	if err != nil {
		return Vars{}, err
	}
	return varsOf(all)
}

func (c Command) read(ctx context.Context) ([]variable, error) {
	out, err := output(ctx, c.Get, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", firmware.ErrUnavailable, err)
	}
	return ofLines(out), nil
}

// Write implements Boot.
func (c Command) Write(ctx context.Context, v Vars) error {
	all, err := v.variables()
	if err != nil {
		return err
	}
	before, err := c.read(ctx)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, x := range before {
		gone[x.name] = ours(x.name)
	}
	for _, x := range all {
		gone[x.name] = false
	}
	for _, x := range before {
		if gone[x.name] {
			all = append(all, variable{name: x.name})
		}
	}
	_, err = output(ctx, c.Set, lines(all))
	return err
}

// output runs a command.
func output(ctx context.Context, command []string, in []byte) ([]byte, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("%w: Get and Set of slot.Command are required", firmware.ErrInvalid)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(said.String())
		return nil, errors.Join(context.Cause(ctx), fmt.Errorf("%s: %w: %.200s", strings.Join(command, " "), err, text))
	}
	return out.Bytes(), nil
}
