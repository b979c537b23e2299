package step

import (
	"fmt"
	"os"
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
