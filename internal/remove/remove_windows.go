package remove

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// findMount has nothing to find: what is mounted in a folder is a kind of link
// here.
func findMount(string) (string, error) { return "", nil }

// removeAll removes path, or what is in it. The system's own removal takes
// away links, and mounts, and goes into none.
func removeAll(ctx context.Context, path string, alive func(), itself bool) error {
	if itself {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		defer alive()
		return os.RemoveAll(path)
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err := removeAll(ctx, filepath.Join(path, e.Name()), alive, true); err != nil {
			return err
		}
	}
	return err
}
