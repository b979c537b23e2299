// Package damage has the sentinel that domains and package storage share, so
// that whoever asks for the one finds the other.
package damage

import "errors"

// Err is storage.ErrCorrupt, and that of the domains.
var Err = errors.New("storage: damaged")
