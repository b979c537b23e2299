package slot

import "context"

// Boot reads and writes the variables of a boot loader. A write is there as a
// whole or not at all, whenever the power goes. Package firmwaretest checks
// implementations.
type Boot interface {
	Read(ctx context.Context) (Vars, error)
	Write(ctx context.Context, v Vars) error
}

// Vars are what a boot loader wants to know, and tells.
type Vars struct {
	Slot  string // "a" or "b": the one to start from
	Try   string // the one to start next, once; "" for none
	Tries int    // starts of Try so far
	// Meta is the Release.Meta of Try, for a boot loader that wants it; only
	// written.
	Meta map[string]string
}
