package step

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// exchange swaps what two paths of one file system name, in one step.
func exchange(a, b string) error {
	err := unix.RenamexNp(a, b, unix.RENAME_SWAP)
	if err == unix.ENOTSUP || err == unix.EINVAL {
		return fmt.Errorf("step: the file system cannot exchange folders: %w", errors.ErrUnsupported)
	}
	return err
}
