// Package tempdirtest says where the temporary folders of tests are.
package tempdirtest

import "os"

var disk = os.TempDir() // before anybody has chosen another

// Disk is the folder for tests that need a file system on a disk.
func Disk() string { return disk }
