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

	"github.com/upkeep-go/upkeep/update"
)

// Flag is the content of a maintenance file, as JSON.
type Flag struct {
	Since time.Time `json:"since"` // UTC
	Run   string    `json:"run"`   // the run it is there for
}

// Maintenance returns a pair of steps: between them a file is there, which a
// site may look for and answer 503. The steps in between see the site at rest.
//
//	on, off := step.Maintenance("state/maintenance.json")
//	steps := []update.Step{on, migrate, publish, off}
//
// Do of on makes the file, at once and whole, with a [Flag] (mode 0644), and
// Do of off removes it. Each step's Undo does what the other's Do does, so
// that a roll-back is at rest as well, and the file is gone after it. A file
// that somebody else put there, by hand or in another run, is left alone.
func Maintenance(file string) (on, off update.Step) {
	raise := func(_ context.Context, t *update.Task) error { return raiseFlag(file, t.Run) }
	lower := func(_ context.Context, t *update.Task) error { return lowerFlag(file, t.Run) }
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

func raiseFlag(file string, r update.Run) error {
	there, err := readFlag(file)
	if err != nil || there != nil {
		return err
	}
	data, err := json.Marshal(Flag{Since: time.Now().UTC(), Run: owner(r)})
	if err != nil {
		return err
	}
	if err := writeDurable(file, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("starting maintenance: %w", err)
	}
	return nil
}

func lowerFlag(file string, r update.Run) error {
	there, err := readFlag(file)
	if err != nil || there == nil {
		return err
	}
	if there.Run != owner(r) {
		return nil
	}
	if err := removeDurable(file); err != nil {
		return fmt.Errorf("ending maintenance: %w", err)
	}
	return nil
}

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
	if json.Unmarshal(data, &f) != nil {
		return &Flag{}, nil
	}
	return &f, nil
}
