package storagetest

import (
	"context"
	"io"
	"iter"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// SyncState returns the FolderStore of a folder behind the fault.
func (f *Faulty) SyncState(folder string) cloudsync.FolderStore { return faultyFolder{f, folder} }

type faultyFolder struct {
	*Faulty
	folder string
}

func (f faultyFolder) behind() cloudsync.FolderStore { return f.Backend.SyncState(f.folder) }

func (f faultyFolder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	return through(f.Faulty, "Update", func() (int64, error) { return f.behind().Update(ctx, token, entries, events...) })
}

func (f faultyFolder) Get(ctx context.Context, key string) ([]byte, error) {
	return through(f.Faulty, "Get", func() ([]byte, error) { return f.behind().Get(ctx, key) })
}

func (f faultyFolder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return list(f.Faulty, "List", f.behind().List(ctx, prefix))
}

func (f faultyFolder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return list(f.Faulty, "Watch", f.behind().Watch(ctx, after))
}

// Remotes returns the Remotes behind the fault. What they open is so, too.
func (f *Faulty) Remotes() cloudsync.Remotes { return faultyRemotes{f} }

type faultyRemotes struct{ *Faulty }

func (f faultyRemotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	return through(f.Faulty, "Open", func() (cloudsync.Remote, error) {
		r, err := f.Backend.Remotes().Open(ctx, name)
		if err != nil {
			return nil, err
		}
		return faultyRemote{f.Faulty, r}, nil
	})
}

func (f faultyRemotes) List(ctx context.Context) iter.Seq2[string, error] {
	return list(f.Faulty, "List", f.Backend.Remotes().List(ctx))
}

func (f faultyRemotes) Create(ctx context.Context, name string) error {
	return f.fault("Create", func() error { return f.Backend.Remotes().Create(ctx, name) })
}

func (f faultyRemotes) Remove(ctx context.Context, name string) error {
	return f.fault("Remove", func() error { return f.Backend.Remotes().Remove(ctx, name) })
}

// Remote returns a Remote behind the fault.
func (f *Faulty) Remote(name string) cloudsync.Remote {
	return faultyRemote{f, f.Backend.Remote(name)}
}

type faultyRemote struct {
	on     *Faulty
	behind cloudsync.Remote
}

func (f faultyRemote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	return f.on.fault("PutIfAbsent", func() error { return f.behind.PutIfAbsent(ctx, name, body) })
}

func (f faultyRemote) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	return through(f.on, "Get", func() (io.ReadCloser, error) { return f.behind.Get(ctx, name, off, n) })
}

func (f faultyRemote) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return list(f.on, "List", f.behind.List(ctx, prefix, after))
}

func (f faultyRemote) Delete(ctx context.Context, name string) error {
	return f.on.fault("Delete", func() error { return f.behind.Delete(ctx, name) })
}

func (f faultyRemote) Close() error { return f.behind.Close() }
