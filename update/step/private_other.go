//go:build !unix

package step

import "io/fs"

// writableByOthers cannot be told from the mode here.
func writableByOthers(fs.FileInfo) bool { return false }
