//go:build !linux && !darwin

package step

import (
	"errors"
	"fmt"
)

// exchange is not to be had here.
func exchange(_, _ string) error {
	return fmt.Errorf("step: this system cannot exchange folders: %w", errors.ErrUnsupported)
}
