//go:build freebsd || windows

package step

import (
	"errors"
	"fmt"
	"os"
)

// exchange is not to be had here.
func exchange(_, _ string) error {
	return fmt.Errorf("step: this system cannot exchange folders: %w", errors.ErrUnsupported)
}

// rename gives a file or folder another name. That it replaces nothing cannot
// be had here.
func rename(from, to string) error { return os.Rename(from, to) }
