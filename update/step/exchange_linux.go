package step

import (
	"errors"
	"fmt"
	"os"

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

// rename gives a file or folder another name, and replaces nothing there: what
// came a moment ago is somebody's. Some file systems cannot promise that.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case err == unix.ENOSYS || err == unix.EINVAL:
		return os.Rename(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
