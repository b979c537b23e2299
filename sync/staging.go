package sync

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// staged is the name by which the new content of a path is staged.
func (w *work) staged(path string) string {
	id := w.Sealer.ID([]byte(path))
	return w.stagedAs(hex.EncodeToString(id[:16]))
}

// aside is the name by which what is at a path is moved out of the way of what is
// staged, for a moment, where two entries cannot be exchanged at once.
func aside(staged string) string { return staged + "-aside" }

// stagedAs is a name below Staging. Others stage files there too: the same device
// for another remote, and perhaps another device.
func (w *work) stagedAs(name string) string { return Staging + "/" + w.staging + "-" + name }

// foreign reports whether somebody else has staged a file, who may need it.
func (w *work) foreign(name string) bool {
	name = strings.TrimPrefix(name, Staging+"/")
	by, _, ok := strings.Cut(name, "-")
	return ok && len(by) == len(w.staging) && by != w.staging
}

const (
	proofName = "proof-" // how the name of a proof goes on
	ownHalf   = 16       // bytes of the beginning that say whose it is
)

// ownStaging draws how names begin. The first half is the same for all notes that
// this device ever has of this remote.
func (w *work) ownStaging() string {
	id := w.Sealer.ID([]byte("staged by " + w.Device + "\n" + w.Name))
	return hex.EncodeToString(id[:])[:ownHalf] + draw()[ownHalf:]
}

// stale reports whether a file was staged by this device for this remote, with notes
// that are not these: they are lost.
func (w *work) stale(name string) bool {
	return w.foreign(name) && strings.HasPrefix(strings.TrimPrefix(name, Staging+"/"), w.staging[:ownHalf])
}

// sweep deletes what is stale and the remote has: anything else may be an edit that
// came out of a path, and stays with a Problem. Proofs go first, for good: should
// somebody have those notes still, then all of this is given up there.
func (w *work) sweep(ctx context.Context) error {
	var proofs, names []string
	for f, err := range w.Files.List(ctx, Staging) {
		switch {
		case isNotFound(err):
			return nil // nothing was ever staged
		case err != nil:
			return err
		case !w.stale(f.Path):
		case strings.Contains(f.Path, "-"+proofName):
			proofs = append(proofs, f.Path)
		default:
			names = append(names, f.Path)
		}
	}
	if len(proofs) > 0 {
		if err := w.discard(ctx, proofs); err != nil {
			return err
		}
		if err := w.Files.Flush(ctx); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	switch err := w.forest.live.read(ctx); {
	case isNotFound(err):
		return nil // compacted meanwhile: the next sync looks at them
	case err != nil:
		return err
	}
	var known []string
	for _, name := range names {
		e, err := w.read(ctx, name)
		switch {
		case err != nil:
			return err
		case e == nil:
		case e.Kind == tree.Link, slices.ContainsFunc(e.Chunks, func(id tree.ID) bool { _, _, there := w.forest.live.find(id); return !there }):
			w.problem(name, "it was staged with notes that are lost, and may be an edit: move it, or delete it")
		default:
			known = append(known, name)
		}
	}
	return w.discard(ctx, known)
}

// discard deletes what is staged.
func (w *work) discard(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := ended(ctx); err != nil {
			return err
		}
		if err := w.Files.Remove(ctx, name, ""); err != nil && !isNotFound(err) && !errors.Is(err, ErrNotEmpty) {
			return err
		}
	}
	return nil
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
