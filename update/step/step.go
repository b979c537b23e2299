package step

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// Named returns s under another name: for the second of a kind in a package,
// whose steps have a name each.
//
// A name is for ever: by it a run finds its steps in the program that takes it
// over, which usually is the next release. What a step is configured with may
// change from one release to the next, its name may not.
func Named(name string, s update.Step) update.Step {
	s.Name = name
	return s
}

// fill replaces the placeholders that the package comment names by values
// that encode returns.
func fill(s string, t *update.Task, encode func(string) string) string {
	return strings.NewReplacer(
		"{version}", encode(t.Release.Version),
		"{from}", encode(t.Previous()),
		"{package}", encode(t.Run.Package),
	).Replace(s)
}

// doing says what failed, if something did.
func doing(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// writeJSON makes a file hold v, whole or not at all.
func writeJSON(disk durable.Disk, path string, v any, mode fs.FileMode) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteOn(disk, path, append(data, '\n'), mode)
}

func plain(s string) string { return s }

// say writes a line for whoever reads what the step does.
func say(t *update.Task, line string) {
	_, _ = fmt.Fprintln(t.Output(), line)
}
