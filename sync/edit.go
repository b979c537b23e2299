package sync

import (
	"context"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// edit makes the folder, which is as ours says, as edited says. That is somebody's
// edit: the base stays, and the next sync commits it. It is done as a sync does
// it, so that a crash leaves nothing half done.
func (w *work) edit(ctx context.Context, ours, edited tree.ID, keep bool) error {
	i := intent{Ours: ours, Merged: edited, Base: w.base, Edit: true, Keep: keep}
	all, err := w.changes(ctx, i)
	if err != nil || all.n == 0 {
		return err
	}
	if err := w.note(ctx, i); err != nil {
		return err
	}
	done, err := w.change(ctx, i, all)
	if err != nil {
		return err
	}
	w.result.Downloaded = done.files
	return w.edited(ctx)
}

// edited ends an edit.
func (w *work) edited(ctx context.Context) error {
	entries, err := w.forest.save(ctx, w.base)
	if err != nil {
		return err
	}
	out, err := w.outs()
	if err != nil {
		return err
	}
	if err := w.book.save(ctx, append(append(entries, out...), Entry{Key: keyJournal})...); err != nil {
		return err
	}
	return w.tidy(ctx)
}

// recoverEdit goes on with an edit. One of which not all is staged has changed
// nothing, and is given up.
func (w *work) recoverEdit(ctx context.Context, i intent) error {
	if !i.Staged {
		return w.abandon(ctx)
	}
	w.base, w.recovers = i.Base, true
	all, err := w.changes(ctx, i)
	if err != nil {
		return err
	}
	if _, err := w.change(ctx, i, all); err != nil {
		return err
	}
	if err := w.edited(ctx); err != nil {
		return err
	}
	w.result, w.recovers, w.keeps = engineResult{}, false, false
	return w.remember()
}
