package sync

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
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

func exchange(root *os.Root, p pair) error { return slowly(root, p) }
