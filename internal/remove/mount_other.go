//go:build darwin || freebsd

package remove

import "os"

// openOnly is how a folder is opened that need not be readable: not to be had
// here.
const openOnly = 0

// mountOf is not to be had here: a mount is another device.
func mountOf(*os.File) uint64 { return 0 }

// findMount returns the path of something that is mounted at dir or below it,
// or "".
func findMount(dir string) (string, error) { return findOther(dir) }
