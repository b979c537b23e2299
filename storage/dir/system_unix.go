//go:build unix

package dir

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// onlyFolder makes what is no folder an error when it is opened.
const onlyFolder = unix.O_DIRECTORY | unix.O_NONBLOCK

const errNoFolder = unix.ENOTDIR

var (
	fullErrors     = []error{unix.ENOSPC, unix.EDQUOT}
	readOnlyErrors = []error{unix.EROFS}
	noLinks        = []error{unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.EOPNOTSUPP, unix.ENOSYS, unix.EXDEV}
)

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 0
}
