//go:build linux || darwin

package dir

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var noRenames = []error{unix.EINVAL, unix.ENOSYS, unix.ENOTSUP, unix.EXDEV}

// renameNew gives a file this name instead of its own, unless something has it.
func renameNew(root *os.Root, temp, path string) error {
	from, err := root.Open(filepath.Dir(temp))
	if err != nil {
		return err
	}
	defer from.Close() // nothing was written
	to, err := root.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer to.Close()
	return renameExclusive(int(from.Fd()), filepath.Base(temp), int(to.Fd()), filepath.Base(path))
}
