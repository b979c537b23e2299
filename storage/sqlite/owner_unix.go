//go:build unix

package sqlite

import (
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file the owner and the group of another, as far as this
// process may.
func giveTo(path string, other fs.FileInfo) {
	stat, ok := other.Sys().(*syscall.Stat_t)
	if ok && os.Chown(path, int(stat.Uid), int(stat.Gid)) != nil {
		_ = os.Chown(path, -1, int(stat.Gid))
	}
}
