//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package source

import (
	"errors"
	"os"
)

// tryLock reports that this system has no locks that end with their process.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
