//go:build darwin || freebsd || windows

package proc

import (
	"errors"
	"time"
)

// Self returns the zero ID: on this system no process is judged.
func Self() ID { return ID{} }

// Of is an errors.ErrUnsupported on this system.
func Of(int) (ID, error) { return ID{}, errors.ErrUnsupported }

// Ended reports that the process has certainly ended, which is not known here.
func (id ID) Ended() bool { return false }

// Usage is an errors.ErrUnsupported on this system.
func Usage(int) (cpu time.Duration, rss int64, err error) { return 0, 0, errors.ErrUnsupported }

// Group is an errors.ErrUnsupported on this system.
func Group(int) (pids []int, err error) { return nil, errors.ErrUnsupported }
