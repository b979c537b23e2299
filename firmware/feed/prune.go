package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// unneededName is the file that says since when objects are not needed.
const unneededName = ".unneeded"

// unneeded has the objects of a folder that no release needs any more.
type unneeded map[string]since

// since is when Prune found an object that is not needed.
type since struct {
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"` // of the catalog that named it last, or of a later one
}

// Prune removes all but the newest releases from the catalog, and objects that no
// release needs: each so long after the first Prune that found it so, or with 0
// once the catalog that named it last has expired, since until then there may be
// devices that have no other. With less than 0 they go at once, also from devices
// that are about to get them. To get rid of old releases call it again and again.
func (p Publisher) Prune(ctx context.Context, keep int, after time.Duration) error {
	if keep < 1 {
		return fmt.Errorf("%w: %d releases are to be kept", firmware.ErrInvalid, keep)
	}
	return p.change(ctx, func(w *work) error {
		needed := map[string]bool{}
		all := w.catalog.Releases
		w.catalog.Releases = all[:min(keep, len(all))]
		for _, r := range w.catalog.Releases {
			if err := w.dir.needs(ctx, r, needed); err != nil {
				return err
			}
		}
		before := w.catalog.Expires
		w.after = func() error { return w.prune(needed, before, after) }
		return nil
	})
}

// prune removes the objects that are not needed for long enough. The catalog that
// was there before expires then.
func (w *work) prune(needed map[string]bool, expires time.Time, after time.Duration) error {
	known, err := w.dir.unneeded()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(w.Dir)
	if err != nil {
		return err
	}
	left, gone := unneeded{}, map[string]bool{}
	for _, e := range entries {
		if !isObject(e.Name()) || needed[e.Name()] {
			continue
		}
		was, is := known[e.Name()]
		if !is {
			was = since{Since: w.Time, Expires: expires}
		}
		until := was.Expires
		if after != 0 {
			until = was.Since.Add(after)
		}
		if w.Time.Before(until) {
			left[e.Name()] = was
		} else {
			gone[e.Name()] = true
		}
	}
	if err := w.dir.note(left); err != nil {
		return err
	}
	return w.dir.sweep(gone)
}

// unneeded reads what Prune has noted. What cannot be read it finds again.
func (d folder) unneeded() (unneeded, error) {
	raw, err := os.ReadFile(d.path(unneededName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var known unneeded
	if err == nil && json.Unmarshal(raw, &known) != nil {
		known = nil
	}
	return known, err
}

func (d folder) note(u unneeded) error {
	if len(u) == 0 {
		if err := os.Remove(d.path(unneededName)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return durable.Rewrite(d.path(unneededName), text, 0o644)
}

// needAgain forgets that the objects of a new release were not needed: until they
// are not again, it has a catalog of its own.
func (w *work) needAgain(ctx context.Context, r firmware.Release) error {
	known, err := w.dir.unneeded()
	if err != nil || len(known) == 0 {
		return err
	}
	needed := map[string]bool{}
	if err := w.dir.needs(ctx, r, needed); err != nil {
		return err
	}
	for name := range needed {
		delete(known, name)
	}
	return w.dir.note(known)
}
