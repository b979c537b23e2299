package slot

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// exclusive refuses a device that is mounted, or open like that elsewhere.
const exclusive = syscall.O_EXCL

// forget drops what memory holds of a file, so that the next read is of the
// medium.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
