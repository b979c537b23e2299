package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/update"
)

// ClearDir empties the folder dir, usually a cache, and keeps the folder
// itself. A folder that is not there is empty. Symbolic links in it are
// removed, never followed; what programs put there meanwhile may stay.
//
// Undo empties it too, since what the release put there is stale then. It runs
// before the Undo of the steps that come first: where a cache fills while a
// roll-back is under way, put one such step before them and one after.
//
// Check, Do and Undo refuse a dir that is a symbolic link or a file, one that
// is a mount point or has one below it, since a volume mounted there is not a
// part of it, and the folders that nobody means to empty: the current folder,
// the home folder, and every folder that contains one of them.
func ClearDir(dir string) update.Step {
	clear := func(ctx context.Context, t *update.Task) error {
		if err := checkClear(dir); err != nil {
			return err
		}
		n := int64(0)
		err := remove.Contents(ctx, dir, func() { n++; t.Progress(n, 0, "") })
		if err != nil {
			return fmt.Errorf("clearing %q: %w", dir, err)
		}
		return nil
	}
	return update.Step{
		Name:  "clear",
		Check: func(context.Context, *update.Task) error { return checkClear(dir) },
		Do:    clear,
		Undo:  clear,
	}
}

func checkClear(dir string) error {
	if dir == "" {
		return errors.New("step: no folder to clear")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	info, err := os.Lstat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("step: %q is not a folder", dir)
	}
	// The path may lead through links: what counts is where it ends.
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	for _, find := range []func() (string, error){os.Getwd, os.UserHomeDir} {
		keep, err := find()
		if err != nil {
			continue // there is none
		}
		if r, err := filepath.EvalSymlinks(keep); err == nil {
			keep = r
		}
		if contains(real, keep) {
			return fmt.Errorf("step: refusing to clear %q, which contains %q", dir, keep)
		}
	}
	if err := remove.Check(real); err != nil {
		return fmt.Errorf("step: refusing to clear %q: %w", dir, err)
	}
	return checkFolder(abs)
}

// contains reports whether path is dir or below it.
func contains(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
