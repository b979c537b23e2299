package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/internal/owned"
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
// Folders in it that are read-only are made writable for that, if they are of
// this user; Check names one of another user that cannot be emptied.
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
		Name: "clear",
		Check: func(ctx context.Context, _ *update.Task) error {
			if err := checkClear(dir); err != nil {
				return err
			}
			return checkFolders(ctx, dir)
		},
		Do:   clear,
		Undo: clear,
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

// checkFolders tells whether what is in dir can be removed. It looks into
// folders alone, which are read-only at the will of this user, or of another.
func checkFolders(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("step: %q cannot be cleared: %w", dir, err)
		case path == dir || !e.IsDir():
			return nil
		}
		info, err := e.Info()
		if err != nil || writable(path) == nil || isEmpty(path) {
			return nil //nolint:nilerr // it is gone
		}
		if uid, _, known := owned.Of(info); known && uid == os.Geteuid() {
			return nil
		}
		return fmt.Errorf("step: %q cannot be cleared: folder %q cannot be written, and is another user's: %w", dir, path, fs.ErrPermission)
	})
}

// contains reports whether path is dir or below it.
func contains(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
