package step

import (
	"io/fs"
	"syscall"
)

// changedAt returns when a file was last changed in any way, in nanoseconds,
// which nobody can set.
func changedAt(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}
