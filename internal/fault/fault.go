// Package fault has the sentinels of package storage, for those who may not
// import it: whoever asks for the one finds the other. The domains pass them on;
// the adapter tells callers by them whether to try again.
package fault

import "errors"

// Each is documented in package storage, which has it under the same name. The
// first is that of the domains too.
var (
	ErrCorrupt  = errors.New("storage: damaged")
	ErrFull     = errors.New("storage: no space left")
	ErrReadOnly = errors.New("storage: read-only")
	ErrBusy     = errors.New("storage: busy")
)
