package step

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkFolder tells whether dir is a folder in which this process may write.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("step: %q is not a folder", dir)
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("step: folder %q cannot be written: %w", dir, err)
	}
	return nil
}

// removable tells whether this process may rename or remove what is at path. In
// a folder with the sticky bit that is for the owners alone.
func removable(path string) error {
	dir := filepath.Dir(path)
	if err := writable(dir); err != nil {
		return fmt.Errorf("folder %q cannot be written: %w", dir, err)
	}
	around, err := os.Stat(dir)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil || around.Mode()&fs.ModeSticky == 0 || os.Geteuid() <= 0 {
		return err
	}
	for _, of := range []fs.FileInfo{around, info} {
		if uid, _, known := ownerOf(of); !known || uid == os.Geteuid() {
			return nil
		}
	}
	return fmt.Errorf("folder %q has the sticky bit, and %q another owner: %w", dir, info.Name(), fs.ErrPermission)
}
