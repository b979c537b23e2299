//go:build linux || darwin || freebsd

package slot

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// deviceOf returns the number of a device.
func deviceOf(info fs.FileInfo) (uint64, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeDevice == 0 {
		return 0, false
	}
	return uint64(stat.Rdev), true //nolint:unconvert // it is another type elsewhere
}

// alone makes sure that nobody else writes the file, until it is closed.
func alone(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("somebody else writes it")
	}
	return err
}

// freeFor returns how large a file may become.
func freeFor(f *os.File) (int64, bool) {
	var system syscall.Statfs_t
	info, err := f.Stat()
	if err != nil || syscall.Fstatfs(int(f.Fd()), &system) != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int64(system.Bavail)*int64(system.Bsize) + stat.Blocks*512, true //nolint:unconvert // they are other types elsewhere
}
