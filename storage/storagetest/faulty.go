package storagetest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// Fault stands between a caller and an engine. Op is the name of the method,
// such as "Acquire". Call makes the call; what Fault returns is what the
// caller gets. A Fault that does not call drops the request; one that calls
// and returns an error of its own drops the reply; one that sleeps delays
// either. A list, such as Watch, asks once, before its first pair.
type Fault func(op string, call func() error) error

// Faulty is an engine whose calls go through a Fault, which must be safe for
// concurrent use. Its Close does not.
type Faulty struct {
	storage.Backend
	locker   faultyLocker
	journal  faultyJournal
	versions faultyVersions
}

// NewFaulty returns b behind a fault.
func NewFaulty(b storage.Backend, fault Fault) *Faulty {
	return &Faulty{
		Backend:  b,
		locker:   faultyLocker{b.Locker(), fault},
		journal:  faultyJournal{b.Journal(), fault},
		versions: faultyVersions{b.Versions(), fault},
	}
}

// Locker returns the Locker behind the fault.
func (f *Faulty) Locker() lease.Locker { return &f.locker }

// Journal returns the Journal behind the fault.
func (f *Faulty) Journal() update.Journal { return &f.journal }

// Versions returns the VersionStore behind the fault. Its Watch asks for the
// op "WatchVersions".
func (f *Faulty) Versions() lv.VersionStore { return &f.versions }

// through makes a call through a fault. An error of the fault's own comes
// without the result.
func through[T any](fault Fault, op string, call func() (T, error)) (T, error) {
	var result, nothing T
	var returned error
	err := fault(op, func() error {
		result, returned = call()
		return returned
	})
	if err != nil && !errors.Is(err, returned) {
		return nothing, err
	}
	return result, err
}

// list asks a fault before a list begins.
func list[T any](fault Fault, op string, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := fault(op, func() error { return nil }); err != nil {
			var nothing T
			yield(nothing, err)
			return
		}
		all(yield)
	}
}

type faultyLocker struct {
	locker lease.Locker
	fault  Fault
}

func (f *faultyLocker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	return through(f.fault, "Acquire", func() (lease.Lease, error) { return f.locker.Acquire(ctx, item, owner, ttl) })
}

func (f *faultyLocker) Renew(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error) {
	return through(f.fault, "Renew", func() (lease.Lease, error) { return f.locker.Renew(ctx, l, ttl) })
}

func (f *faultyLocker) Release(ctx context.Context, l lease.Lease) error {
	_, err := through(f.fault, "Release", func() (struct{}, error) { return struct{}{}, f.locker.Release(ctx, l) })
	return err
}

func (f *faultyLocker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	return through(f.fault, "Holder", func() (lease.Lease, error) { return f.locker.Holder(ctx, item) })
}

type faultyJournal struct {
	journal update.Journal
	fault   Fault
}

func (f *faultyJournal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	return through(f.fault, "Create", func() (update.Run, error) { return f.journal.Create(ctx, r, events...) })
}

func (f *faultyJournal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	return through(f.fault, "Save", func() (update.Run, error) { return f.journal.Save(ctx, r, events...) })
}

func (f *faultyJournal) Get(ctx context.Context, id string) (update.Run, error) {
	return through(f.fault, "Get", func() (update.Run, error) { return f.journal.Get(ctx, id) })
}

func (f *faultyJournal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return list(f.fault, "History", f.journal.History(ctx, q))
}

func (f *faultyJournal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return list(f.fault, "Watch", f.journal.Watch(ctx, after))
}

type faultyVersions struct {
	versions lv.VersionStore
	fault    Fault
}

func (f *faultyVersions) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	return through(f.fault, "Write", func() ([]lv.Version, error) { return f.versions.Write(ctx, t, edits, by) })
}

func (f *faultyVersions) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	return through(f.fault, "PutRelease", func() (lv.Release, error) { return f.versions.PutRelease(ctx, t, r, by) })
}

func (f *faultyVersions) PutStrategy(ctx context.Context, t lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error) {
	return through(f.fault, "PutStrategy", func() (lv.Strategy, error) { return f.versions.PutStrategy(ctx, t, s, by) })
}

func (f *faultyVersions) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return list(f.fault, "Rows", f.versions.Rows(ctx, t, v))
}

func (f *faultyVersions) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return list(f.fault, "Versions", f.versions.Versions(ctx, t, q))
}

func (f *faultyVersions) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	return list(f.fault, "Releases", f.versions.Releases(ctx, t, q))
}

func (f *faultyVersions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return list(f.fault, "Tables", f.versions.Tables(ctx, ids...))
}

func (f *faultyVersions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return list(f.fault, "WatchVersions", f.versions.Watch(ctx, after))
}
