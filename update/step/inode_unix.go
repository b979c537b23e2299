//go:build unix

package step

import (
	"io/fs"
	"syscall"
)

// inodeOf returns the number of a file in its file system.
func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // it is another type elsewhere
	}
	return 0
}
