package sync

import (
	"errors"
	"io/fs"
	"os"
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
	changed = time.Unix(s.Ctim.Unix())
	return strconv.FormatUint(uint64(s.Dev), 36) + " " + strconv.FormatUint(s.Ino, 36) + " " + strconv.FormatInt(changed.UnixNano(), 36), changed
}

func renameNew(a int, from string, b int, to string) error {
	return unix.Renameat2(a, from, b, to, unix.RENAME_NOREPLACE)
}

func renameSwap(a int, from string, b int, to string) error {
	return unix.Renameat2(a, from, b, to, unix.RENAME_EXCHANGE)
}

// cannot are errors of a file system that can neither.
var cannot = []error{unix.EINVAL, unix.ENOSYS}

// flusher makes changes durable: all that the file system has, at once.
type flusher struct{}

func (*flusher) written(*os.File) error { return nil }
func (*flusher) changed(*os.Root)       {}

func (*flusher) flush(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
