package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Forget drops what memory holds of a file and is durable, where the system
// allows, so that the next read is of the medium.
func Forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
