//go:build unix

package step

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// inodeOf returns the number of a file in its file system.
func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // it is another type elsewhere
	}
	return 0
}

// writable asks whether names may be made in dir, without making one.
func writable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, 0)
}
