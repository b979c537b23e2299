package httpadapter_test

import (
	"context"
	"iter"
	"slices"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// engineFolders is a site's store of folders.
type engineFolders struct {
	cloudsync.Store
	*engine
}

func (f *engineFolders) SyncState(folder string) cloudsync.FolderStore {
	return &engineFolder{f.Store.SyncState(folder), f.engine}
}

type engineFolder struct {
	cloudsync.FolderStore
	*engine
}

// goesOn are the events of a run that is under way. They are recorded whatever
// becomes of a request.
var goesOn = []cloudsync.EventKind{
	cloudsync.EventStep, cloudsync.EventProgress, cloudsync.EventRetry, cloudsync.EventLog, cloudsync.EventRecovered, cloudsync.EventEnded,
}

// Update counts what is asked for.
func (f *engineFolder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	f.ask()
	counts := slices.ContainsFunc(events, func(e cloudsync.Event) bool { return !slices.Contains(goesOn, e.Kind) })
	return written(f.engine, counts, func() (int64, error) { return f.FolderStore.Update(ctx, token, entries, events...) })
}

func (f *engineFolder) Get(ctx context.Context, key string) ([]byte, error) {
	f.ask()
	return f.FolderStore.Get(ctx, key)
}

func (f *engineFolder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return asking(f.engine, f.FolderStore.List(ctx, prefix))
}

func (f *engineFolder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return asking(f.engine, f.FolderStore.Watch(ctx, after))
}

// engineRemotes are its remotes by name.
type engineRemotes struct {
	cloudsync.Remotes
	*engine
}

func (r *engineRemotes) Create(ctx context.Context, name string) error {
	r.ask()
	err := r.Remotes.Create(ctx, name)
	r.wrote(err)
	return err
}

func (r *engineRemotes) Remove(ctx context.Context, name string) error {
	r.ask()
	err := r.Remotes.Remove(ctx, name)
	r.wrote(err)
	return err
}

func (r *engineRemotes) List(ctx context.Context) iter.Seq2[string, error] {
	return asking(r.engine, r.Remotes.List(ctx))
}
