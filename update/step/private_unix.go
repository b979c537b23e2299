//go:build unix

package step

import "io/fs"

// writableByOthers reports whether users other than the owner may write.
func writableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }
