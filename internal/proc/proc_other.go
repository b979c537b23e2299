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

// StartedAt returns the zero Time: it is not known here.
func (id ID) StartedAt() time.Time { return time.Time{} }

// Groups is an errors.ErrUnsupported on this system.
func Groups() (map[int]Usage, error) { return nil, errors.ErrUnsupported }

// Group is an errors.ErrUnsupported on this system.
func Group(int) (pids []int, err error) { return nil, errors.ErrUnsupported }
