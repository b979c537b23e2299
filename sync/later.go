package sync

import (
	"context"
	"errors"
	"io"
	"iter"
)

var errLater = errors.New("sync: not built yet")

// Commits yields the commits that q selects, newest first, and stops after an
// error.
func (f *Folder) Commits(ctx context.Context, q CommitQuery) iter.Seq2[Commit, error] { return nil }

// Diff yields what differs from one commit to another, by path. "" is the
// folder as it was last synced.
func (f *Folder) Diff(ctx context.Context, from, to string) iter.Seq2[Difference, error] { return nil }

// Open reads a file as a commit has it. ErrNotFound.
func (f *Folder) Open(ctx context.Context, commit, path string) (io.ReadCloser, error) {
	return nil, errLater
}

// Restore starts a run that brings older content back, as a local edit that the
// next sync commits. What was there stays in history.
func (f *Folder) Restore(ctx context.Context, r RestoreRequest) (Run, error) {
	return f.begin(ctx, Run{Kind: KindRestore, Restore: &r, Request: Request{By: r.By}})
}

// Tag names a commit, which is then never forgotten. An empty commit removes
// the tag.
func (f *Folder) Tag(ctx context.Context, tag, commit string, by By) error { return errLater }

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

// PlanCompact tells what Compact would do.
func (f *Folder) PlanCompact(ctx context.Context, keep Retention) (Compaction, error) {
	return Compaction{}, errLater
}

// Compact starts a run that forgets the commits that keep does not keep and
// deletes what nothing needs. It is a commit like any other, safe beside devices
// that sync. It stops at anything unreadable, and at a remote whose clock cannot
// be right.
func (f *Folder) Compact(ctx context.Context, keep Retention, by By) (Run, error) {
	if err := keep.check("Retention"); err != nil {
		return Run{}, err
	}
	return f.begin(ctx, Run{Kind: KindCompact, Keep: &keep, Request: Request{By: by}})
}
