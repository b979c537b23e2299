package sync

import (
	"context"
	"errors"
	"iter"
)

var errLater = errors.New("sync: not built yet")

// Restore starts a run that brings older content back, as a local edit that the
// next sync commits. What was there stays in history.
func (f *Folder) Restore(ctx context.Context, r RestoreRequest) (Run, error) {
	return f.begin(ctx, Run{Kind: KindRestore, Restore: &r, Request: Request{By: r.By}})
}

// Conflicts yields the conflict copies that are there, by path.
func (f *Folder) Conflicts(ctx context.Context) iter.Seq2[Conflict, error] { return nil }

// Resolve ends a conflict, as a local edit that the next sync commits. It
// returns ErrStale if one of the two files is no longer as c has it.
func (f *Folder) Resolve(ctx context.Context, c Conflict, keep Keep, by By) error { return errLater }

// Verify yields the objects that commits need and that are missing or damaged.
// It changes nothing.
func (f *Folder) Verify(ctx context.Context, d Depth) iter.Seq2[Damage, error] { return nil }

// Repair starts a run that commits that damaged objects are gone, so that any
// device that still has the content sends it again.
func (f *Folder) Repair(ctx context.Context, by By) (Run, error) {
	return f.begin(ctx, Run{Kind: KindRepair, Request: Request{By: by}})
}
