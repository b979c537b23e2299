package archive

import "os"

// Folders cannot be synced here; NTFS journals its names.
func syncFolder(*os.Root, string) error { return nil }
