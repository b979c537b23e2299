//go:build darwin || freebsd || windows

package step

import "io/fs"

// changedAt is not asked for here: what was changed is found by its content.
func changedAt(fs.FileInfo) int64 { return 0 }
