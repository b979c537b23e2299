// Package remove removes folders, and stops at what is mounted in them: a
// volume that somebody has mounted in a folder is not part of the folder.
//
// Read remove.go, then remove_unix.go, where the work is; mount_linux.go and
// mount_other.go say what is mounted.
package remove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// ErrMounted reports that something is mounted at a path, or below it.
var ErrMounted = errors.New("something is mounted there")

// mounted is the ErrMounted of a path.
func mounted(path string) error { return fmt.Errorf("remove: %q: %w", path, ErrMounted) }

// Check returns an ErrMounted that names what is mounted at dir or below it.
// What is not there holds nothing.
func Check(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return err
	}
	path, err := findMount(real)
	if err == nil && path != "" {
		err = mounted(path)
	}
	return err
}

// All removes path with everything below it. Nothing there is not an error.
//
// Links are removed, never followed. A folder on which something is mounted
// is left with all that is in it, which is ErrMounted, also if it was mounted
// a moment ago; the rest may be gone then. alive is called with every name
// that is removed. It ends when ctx does.
func All(ctx context.Context, path string, alive func()) error {
	return removeAll(ctx, path, alive, true)
}

// Contents is All, but for the folder itself.
func Contents(ctx context.Context, dir string, alive func()) error {
	return removeAll(ctx, dir, alive, false)
}
