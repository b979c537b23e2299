//go:build freebsd || windows

package dir

import (
	"errors"
	"os"
)

var noRenames = []error{errors.ErrUnsupported}

// renameNew cannot be had here.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
