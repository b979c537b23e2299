//go:build unix

package owned

import (
	"io/fs"
	"os"
	"syscall"
)

// A named pipe is not waited for.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// Writable reports whether users other than the owner may write.
func Writable(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// Of returns whose file it is, where files have owners.
func Of(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// Foreign reports whether it is somebody else's.
func Foreign(info fs.FileInfo) bool {
	uid, _, ok := Of(info)
	return ok && uid != os.Geteuid()
}

func names(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink) // on other systems it is of another type
	}
	return 1
}
