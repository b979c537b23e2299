package sync

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func changedAt(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctim.Unix()) }

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
