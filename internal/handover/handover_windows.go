// Package handover gives listeners to another process, which cannot be done
// here: all of it is an errors.ErrUnsupported.
package handover

import (
	"errors"
	"net"
	"os"
)

// Open is an errors.ErrUnsupported on this system.
func Open(int) (net.Listener, error) { return nil, errors.ErrUnsupported }

// Duplicate is an errors.ErrUnsupported on this system.
func Duplicate(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }

// Descriptor is an errors.ErrUnsupported on this system.
func Descriptor(net.Listener) (int, error) { return 0, errors.ErrUnsupported }
