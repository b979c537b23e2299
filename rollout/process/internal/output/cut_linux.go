package output

import (
	"os"

	"golang.org/x/sys/unix"
)

// collapse takes the first n bytes out of a file while others append to it, so
// that nothing is lost of what they print. Not every file system can; n is a
// multiple of cutUnit.
func collapse(f *os.File, n int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if ctl := raw.Control(func(fd uintptr) { err = unix.Fallocate(int(fd), unix.FALLOC_FL_COLLAPSE_RANGE, 0, n) }); ctl != nil {
		return ctl
	}
	return err
}
