package slot

import (
	"context"
	"fmt"
)

// File keeps the variables in a file of two copies, written in turn, in place,
// so that it may lie on FAT. It makes the file, but not its folder. Its text is
// one NAME=VALUE a line, of upkeep_slot, upkeep_try, upkeep_tries, and
// upkeep_a_NAME and upkeep_b_NAME for what A and B have; "-" stands for "".
type File struct {
	Path string // required
	disk disk   // default: the machine's
}

func (f File) copies() copies {
	if f.disk == nil {
		f.disk = machine{}
	}
	return copies{f.disk, f.Path}
}

// Read implements Boot.
func (f File) Read(context.Context) (Vars, error) {
	text, _, err := f.copies().read()
	if err != nil {
		return Vars{}, err
	}
	return varsOf(ofLines(text))
}

// Write implements Boot.
func (f File) Write(_ context.Context, v Vars) error {
	all, err := v.variables()
	if err != nil {
		return fmt.Errorf("variables in %q: %w", f.Path, err)
	}
	return f.copies().write(lines(all))
}
