//go:build unix

package step

import "golang.org/x/sys/unix"

// writable asks whether names may be made in dir, without making one.
func writable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, 0)
}
