package dir

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/windows"
)

const (
	onlyFolder  = 0
	errNoFolder = syscall.ENOTDIR
)

var (
	fullErrors     = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}
	readOnlyErrors = []error{windows.ERROR_WRITE_PROTECT}
	noLinks        = []error{windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED}
)

// links is not known.
func links(fs.FileInfo) uint64 { return 0 }
