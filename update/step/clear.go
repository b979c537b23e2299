package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
// Check and Do refuse a dir that is a symbolic link or a file, and the folders
// that nobody means to empty: the current folder, the home folder, and every
// folder that contains one of them.
func ClearDir(dir string) update.Step {
	clear := func(ctx context.Context, t *update.Task) error {
		if err := checkClear(dir); err != nil {
			return err
		}
		if err := clearDir(ctx, t, dir); err != nil {
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

func clearDir(ctx context.Context, t *update.Task, dir string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := root.RemoveAll(e.Name()); err != nil {
			return err
		}
		t.Progress(int64(i+1), int64(len(entries)), "")
	}
	return nil
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
	return checkFolder(abs)
}

// contains reports whether path is dir or below it.
func contains(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
