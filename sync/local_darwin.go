package sync

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func changedAt(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctimespec.Unix()) }

func renameNew(a int, from string, b int, to string) error {
	return unix.RenameatxNp(a, from, b, to, unix.RENAME_EXCL)
}

func renameSwap(a int, from string, b int, to string) error {
	return unix.RenameatxNp(a, from, b, to, unix.RENAME_SWAP)
}

// cannot are errors of a file system that can neither.
var cannot = []error{unix.ENOTSUP, unix.EINVAL}
