package step

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/internal/owned"
)

// isFolder tells whether dir is a folder.
func isFolder(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("step: %q is not a folder", dir)
	}
	return err
}

// checkFolder tells whether dir is a folder in which this process may write.
func checkFolder(dir string) error {
	if err := isFolder(dir); err != nil {
		return err
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("step: folder %q cannot be written: %w", dir, err)
	}
	return nil
}

// checkMakable is checkFolder of dir or, where it is not there yet, of the folder
// in which it would have to be made.
func checkMakable(dir string) error {
	_, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		_, err = os.Stat(dir)
	}
	return checkFolder(dir)
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
		if uid, _, known := owned.Of(of); !known || uid == os.Geteuid() {
			return nil
		}
	}
	return fmt.Errorf("folder %q has the sticky bit, and %q another owner: %w", dir, info.Name(), fs.ErrPermission)
}
