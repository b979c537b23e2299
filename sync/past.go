package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// errEnough ends what yields, for who wants no more.
var errEnough = errors.New("sync: enough")

// listed yields what an engine that only looks lists.
func listed[T any](ctx context.Context, f *Folder, list func(context.Context, *engine) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := f.looking(ctx, func(ctx context.Context, e *engine) error {
			for v, err := range list(ctx, e) {
				if err != nil {
					return err
				}
				if !yield(v, nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			var none T
			yield(none, err)
		}
	}
}

// ifAny yields nothing of a remote with which nothing was ever synced.
func ifAny[T any](all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range all {
			if errors.Is(err, errNever) || !yield(v, err) {
				return
			}
		}
	}
}

// Commits yields the commits that q selects, newest first, and stops after an
// error. A remote with which nothing was ever synced has none.
func (f *Folder) Commits(ctx context.Context, q CommitQuery) iter.Seq2[Commit, error] {
	return ifAny(listed(ctx, f, func(ctx context.Context, e *engine) iter.Seq2[Commit, error] { return e.Commits(ctx, q) }))
}

// Diff yields what differs from one commit to another, by path. "" is the
// folder as it was last synced.
func (f *Folder) Diff(ctx context.Context, from, to string) iter.Seq2[Difference, error] {
	return listed(ctx, f, func(ctx context.Context, e *engine) iter.Seq2[Difference, error] { return e.Diff(ctx, from, to) })
}

// Open reads a file as a commit has it, or else returns ErrNotFound; "" is the
// folder as it was last synced. The context is that of the reading, too. Who has
// the reader closes it: Shutdown waits for that until its context ends.
func (f *Folder) Open(ctx context.Context, commit, path string) (io.ReadCloser, error) {
	ctx, leave, err := f.door.Enter(ctx)
	if err != nil {
		return nil, err
	}
	ends := []func(){leave}
	defer func() { // also when the engine panics
		for _, end := range ends {
			end()
		}
	}()
	e, done, err := f.lookAt(ctx)
	if err != nil {
		return nil, err
	}
	ends = []func(){done, leave}
	r, err := e.Open(ctx, commit, path)
	if err != nil {
		return nil, err
	}
	o, last := opened{r, make(chan struct{})}, ends
	ends = nil
	f.door.Go(func() { o.lasts(last...) })
	return o, nil
}

// Tag names a commit, which is then never forgotten. An empty commit removes
// the tag.
func (f *Folder) Tag(ctx context.Context, tag, commit string, by By) error {
	return f.acting(ctx, func(ctx context.Context, e *engine) error { return e.Tag(ctx, tag, commit, by.bounded()) })
}

// PlanCompact tells what Compact would do.
func (f *Folder) PlanCompact(ctx context.Context, keep Retention) (done Compaction, err error) {
	if err := keep.check("Retention"); err != nil {
		return Compaction{}, err
	}
	err = f.looking(ctx, func(ctx context.Context, e *engine) error {
		done, err = e.PlanCompact(ctx, keep)
		return err
	})
	return done, err
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

// forgets compacts by Retain, once a day at most. It goes through a day's runs only
// while it does not know when that was.
func (f *Folder) forgets(ctx context.Context) error {
	f.mu.Lock()
	last := f.thinned
	f.mu.Unlock()
	if f.config.Retain.Age == 0 || time.Since(last) <= 24*time.Hour {
		return nil
	}
	for run, err := range f.History(ctx, Query{}) {
		if err != nil {
			return err
		}
		if time.Since(run.CreatedAt) > 24*time.Hour {
			break
		}
		if run.Kind == KindCompact && run.State == StateSucceeded {
			f.mu.Lock()
			f.thinned = run.CreatedAt
			f.mu.Unlock()
			return nil
		}
	}
	run, err := f.Compact(ctx, f.config.Retain, By{Actor: "schedule"})
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err == nil {
		_, err = f.Wait(ctx, run.ID)
	}
	if err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	return nil
}

// Restore starts a run that brings older content back, as a local edit that the
// next sync commits. What was there stays in history.
func (f *Folder) Restore(ctx context.Context, r RestoreRequest) (Run, error) {
	if err := r.check(); err != nil {
		return Run{}, err
	}
	return f.begin(ctx, Run{Kind: KindRestore, Restore: &r, Request: Request{By: r.By}})
}

// Conflicts yields the conflict copies that are there, by path.
func (f *Folder) Conflicts(ctx context.Context) iter.Seq2[Conflict, error] {
	return ifAny(listed(ctx, f, func(ctx context.Context, e *engine) iter.Seq2[Conflict, error] { return e.Conflicts(ctx) }))
}

// Resolve ends a conflict, as a local edit that the next sync commits. It
// returns ErrStale if one of the two files is no longer as c has it.
func (f *Folder) Resolve(ctx context.Context, c Conflict, keep Keep, by By) error {
	by = by.bounded()
	return f.acting(ctx, func(ctx context.Context, e *engine) error {
		if err := e.Resolve(ctx, c, keep); err != nil {
			return err
		}
		_, err := f.records.Update(ctx, 0, nil, Event{
			Kind: EventLog, Path: c.Path, Actor: by.Actor, Message: cut("conflict ended, keeping "+string(keep)+" "+by.Reason, maxReason),
		})
		return err
	})
}

// Verify yields the objects that commits need and that are missing or damaged.
// It changes nothing.
func (f *Folder) Verify(ctx context.Context, d Depth) iter.Seq2[Damage, error] {
	return listed(ctx, f, func(ctx context.Context, e *engine) iter.Seq2[Damage, error] { return e.Verify(ctx, d) })
}

// Repair starts a run that commits that damaged objects are gone, so that any
// device that still has the content sends it again.
func (f *Folder) Repair(ctx context.Context, by By) (Run, error) {
	return f.begin(ctx, Run{Kind: KindRepair, Request: Request{By: by}})
}
