package sqlite_test

import (
	"os"
	"syscall"
)

// What is killed here is processes, and not the machine: its tests need no disk
// that takes its time to sync. They use one in memory unless they run in full,
// somebody has chosen another, or the one there is too small or runs no programs.
func init() {
	const (
		inMemory = "/dev/shm"
		noexec   = 0x8 // of statfs(2)
	)
	var fs syscall.Statfs_t
	if os.Getenv("UPKEEP_FULL") == "1" || os.Getenv("TMPDIR") != "" || syscall.Statfs(inMemory, &fs) != nil {
		return
	}
	if fs.Flags&noexec == 0 && fs.Bavail*uint64(fs.Bsize) > 1<<30 {
		os.Setenv("TMPDIR", inMemory)
	}
}
