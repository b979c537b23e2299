//go:build darwin || freebsd || windows

package slot

import "errors"

// reboot is a system call that only Linux has for this package.
var reboot = func() error { return errors.ErrUnsupported }
