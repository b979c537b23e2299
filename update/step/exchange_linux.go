package step

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// exchange swaps what two paths of one file system name, in one step.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if err == unix.ENOSYS || err == unix.EINVAL {
		return fmt.Errorf("step: the file system cannot exchange folders: %w", errors.ErrUnsupported)
	}
	return err
}
