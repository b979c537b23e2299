package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// Flag is the content of a maintenance file, as JSON.
type Flag struct {
	Since   time.Time `json:"since"` // UTC
	Package string    `json:"package"`
	Run     string    `json:"run"` // the run it is there for
}

// Maintenance returns a pair of steps: between them a file is there, which a
// site may look for and answer 503. The steps in between see the site at rest.
//
//	on, off := step.Maintenance("state/maintenance.json")
//	steps := []update.Step{on, migrate, publish, off}
//
// Do of on makes the file, at once and whole, with a [Flag] (mode 0644), and
// Do of off removes it. Each step's Undo does what the other's Do does, so
// that a roll-back is at rest as well, and the file is gone after it.
//
// A file that an earlier run of the package left, because it failed and could
// not be undone, is taken over: it gets the new run's ID, and is gone when
// that run has succeeded. When that run is rolled back, the file is given back
// to the earlier one: the site is what it was then. A file that is not one of
// the package, such as one put there by hand, is left alone; packages that may
// be updated at the same time need a file each.
func Maintenance(file string) (on, off update.Step) {
	raise := func(ctx context.Context, t *update.Task) error {
		return doing("starting maintenance", raiseFlag(ctx, file, t))
	}
	lower := func(_ context.Context, t *update.Task) error {
		return doing("ending maintenance", lowerFlag(file, t))
	}
	check := func(context.Context, *update.Task) error {
		if _, err := readFlag(file); err != nil {
			return err
		}
		return checkFolder(filepath.Dir(file))
	}
	on = update.Step{Name: "maintenance on", Check: check, Do: raise, Undo: lower}
	off = update.Step{Name: "maintenance off", Do: lower, Undo: raise}
	return on, off
}

// raiseFlag makes the file one of t's run. It keeps the Flag of an earlier run
// that it takes over.
func raiseFlag(ctx context.Context, file string, t *update.Task) error {
	there, err := readFlag(file)
	if err != nil {
		return err
	}
	flag := Flag{Since: time.Now().UTC(), Package: t.Run.Package, Run: owner(t.Run)}
	if there != nil {
		if there.Package != flag.Package || there.Run == flag.Run {
			return nil
		}
		if err := t.Save(ctx, there); err != nil {
			return err
		}
		flag.Since = there.Since
	}
	return writeFlag(file, flag)
}

// lowerFlag removes the file if it is one of t's package, or gives it back to
// the run from which this step has taken it over.
func lowerFlag(file string, t *update.Task) error {
	there, err := readFlag(file)
	if err != nil || there == nil || there.Package != t.Run.Package {
		return err
	}
	var earlier Flag
	if err := t.Load(&earlier); err != nil {
		return err
	}
	if earlier.Run != "" {
		return writeFlag(file, earlier)
	}
	return durable.Remove(file)
}

func writeFlag(file string, f Flag) error { return writeJSON(durable.OS, file, f, 0o644) }

// owner is the run that r is about: a rollback acts for the run it takes back.
func owner(r update.Run) string {
	if r.Undoes != "" {
		return r.Undoes
	}
	return r.ID
}

// readFlag returns nil when there is no file, and an empty Flag for a file of
// somebody who does not write them.
func readFlag(file string) (*Flag, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the maintenance file: %w", err)
	}
	var f Flag
	if json.Unmarshal(data, &f) != nil || f.Run == "" {
		return &Flag{}, nil
	}
	return &f, nil
}
