package sync

import (
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tagOf tells one state of an entry from another, and when it was changed in any
// way.
func tagOf(info fs.FileInfo) (tag string, changed time.Time) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", time.Time{}
	}
	changed = time.Unix(s.Ctimespec.Unix())
	return strconv.FormatUint(uint64(s.Dev), 36) + " " + strconv.FormatUint(s.Ino, 36) + " " + strconv.FormatInt(changed.UnixNano(), 36), changed
}

func renameNew(a int, from string, b int, to string) error {
	return unix.RenameatxNp(a, from, b, to, unix.RENAME_EXCL)
}

func renameSwap(a int, from string, b int, to string) error {
	return unix.RenameatxNp(a, from, b, to, unix.RENAME_SWAP)
}

// cannot are errors of a file system that can neither.
var cannot = []error{unix.ENOTSUP, unix.EINVAL}
