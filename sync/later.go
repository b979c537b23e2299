package sync

import (
	"context"
	"iter"
)

// Verify yields the objects that commits need and that are missing or damaged.
// It changes nothing.
func (f *Folder) Verify(ctx context.Context, d Depth) iter.Seq2[Damage, error] { return nil }

// Repair starts a run that commits that damaged objects are gone, so that any
// device that still has the content sends it again.
func (f *Folder) Repair(ctx context.Context, by By) (Run, error) {
	return f.begin(ctx, Run{Kind: KindRepair, Request: Request{By: by}})
}
