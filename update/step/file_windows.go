package step

import "io/fs"

// inodeOf is not to be had here.
func inodeOf(fs.FileInfo) uint64 { return 0 }

// writable cannot ask here: the step itself finds out.
func writable(string) error { return nil }
