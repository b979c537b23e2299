package tempdirtest

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

const (
	inMemory = "/dev/shm"
	// enough is free space for the packages that use it, which run at once.
	enough = 2 << 30
	noexec = 0x8 // of statfs(2)
)

// InMemory is for the init of tests that kill processes, and not the machine: they
// need no disk that takes its time to sync. They use one in memory unless they run
// in full or need much, measure something, somebody has chosen another, or the one
// there is too small, runs no programs, or cannot be written.
func InMemory() {
	measures := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.bench=") })
	if measures || os.Getenv("UPKEEP_FULL") == "1" || os.Getenv("UPKEEP_HUGE") == "1" || os.Getenv("TMPDIR") != "" {
		return
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(inMemory, &fs) != nil || fs.Flags&noexec != 0 || fs.Bavail*uint64(fs.Bsize) < enough {
		return
	}
	probe, err := os.MkdirTemp(inMemory, "probe")
	if err != nil || os.Remove(probe) != nil {
		return
	}
	os.Setenv("TMPDIR", inMemory)
}
