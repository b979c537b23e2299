//go:build unix

package sync

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const nonblock = unix.O_NONBLOCK

// fullErrors are those of a file system without room for a file, be it for its size.
var fullErrors = []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG}

// heldErrors are those of an entry that cannot be changed where it is: something is
// mounted there, or above.
var heldErrors = []error{unix.EXDEV, unix.EROFS, unix.EBUSY, unix.ETXTBSY}

// refuses refuses no name.
var refuses func(name string) string

// free is how many bytes there are for others than root.
func free(root *os.Root) (int64, error) {
	f, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close() // nothing was written
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// tagOf tells one state of an entry from another, and when it was changed in any
// way.
func tagOf(info fs.FileInfo) (tag string, changed time.Time) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", time.Time{}
	}
	changed = changedAt(s)
	return stateOf(uint64(s.Dev), s.Ino, changed), changed
}

// stateOf is the tag of a state.
func stateOf(device, inode uint64, changed time.Time) string {
	b := strconv.AppendUint(make([]byte, 0, 48), device, 36)
	b = strconv.AppendUint(append(b, ' '), inode, 36)
	return string(strconv.AppendInt(append(b, ' '), changed.UnixNano(), 36))
}

// regular describes an entry of an open folder as file does, at less cost, if it is
// a file without special bits, as most are.
func (l *LocalFiles) regular(folder uintptr, name, path string) (File, bool) {
	var s unix.Stat_t
	err := unix.Fstatat(int(folder), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || s.Mode&^0o777 != unix.S_IFREG {
		return File{}, false
	}
	written, changed := time.Unix(s.Mtim.Unix()), time.Unix(s.Ctim.Unix())
	return File{
		Path: path, Size: s.Size, Mode: fs.FileMode(s.Mode & 0o777), ModTime: written,
		Tag: stateOf(uint64(s.Dev), s.Ino, changed), Recent: l.recent(written, changed),
	}, true
}
