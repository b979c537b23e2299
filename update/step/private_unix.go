//go:build unix

package step

import (
	"io/fs"
	"os"
	"syscall"
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
