//go:build unix

package step

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// writableByOthers reports whether users other than the owner may write.
func writableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// ownerOf returns whose file it is, where files have owners.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// ownedByOthers reports whether it is somebody else's.
func ownedByOthers(info fs.FileInfo) bool {
	uid, _, ok := ownerOf(info)
	return ok && uid != os.Geteuid()
}

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
