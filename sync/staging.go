package sync

import (
	"context"
	"encoding/hex"
	"strings"
)

// staged is the name by which the new content of a path is staged.
func (w *work) staged(path string) string {
	id := w.Sealer.ID([]byte(path))
	return w.stagedAs(hex.EncodeToString(id[:16]))
}

// stagedAs is a name below Staging. Others stage files there too: the same device
// for another remote, and perhaps another device.
func (w *work) stagedAs(name string) string { return Staging + "/" + w.staging + "-" + name }

// foreign reports whether somebody else has staged a file, who may need it.
func (w *work) foreign(name string) bool {
	name = strings.TrimPrefix(name, Staging+"/")
	by, _, ok := strings.Cut(name, "-")
	return ok && len(by) == len(w.staging) && by != w.staging
}

// taken is the name by which what is removed from a path is staged.
func (w *work) taken(path string) string { return w.staged(path) + "-out" }

// untouched reports whether what was staged has been left alone. If it was not, it is
// unknown what was placed, and the next sync looks at the folder as it is.
func (w *work) untouched(ctx context.Context, i intent) (bool, error) {
	if !i.Staged || i.Proof == "" {
		return !i.Staged, nil
	}
	_, err := w.Files.Stat(ctx, w.stagedAs(i.Proof))
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
