// Package memory keeps everything in memory: for tests, and for programs that
// may forget when they end. It is small, needs nothing, and keeps every promise
// of the other engines but durability. Its time is time.Now, which
// testing/synctest can fake.
//
// Read memory.go, then lease.go; runs.go before update_journal.go, rollout.go and
// firmware.go; sync.go and sync_remote.go; and lv.go before lv_write.go,
// lv_release.go and lv_read.go. Package storage/sqlstore has the same promises in
// SQL. What is no store is the cluster of rollout_cluster.go, on which services
// seem to run, and the tree of files of sync_files.go.
package memory

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
)

var _ storage.Backend = (*DB)(nil)

// Config configures a DB. A zero field means its documented default.
type Config struct {
	// Retention says which events are kept.
	Retention storage.Retention
}

// DB is an engine that forgets everything with the process. It is safe for
// concurrent use.
type DB struct {
	keep storage.Retention

	mu     sync.Mutex
	closed bool
	locker locker
	stores map[any]store // of the domains, by a named
}

// store is one of a domain. The accessor of DB that returns it stands beside it.
type store interface {
	// forget drops everything and ends every Watch. The mutex is held.
	forget()
}

// named is the key of a store: its type, and the name of what it is for where a
// domain has a store for each of several things.
type named[S store] struct{ name string }

// storeOf returns the store of a type and a name, which the first call makes.
func storeOf[S store](db *DB, name string, empty func(*DB, storage.Retention) S) S {
	db.mu.Lock()
	defer db.mu.Unlock()
	key := named[S]{name}
	if s, ok := db.stores[key]; ok {
		return s.(S)
	}
	s := empty(db, db.keep)
	if db.closed {
		s.forget()
	}
	db.stores[key] = s
	return s
}

// New returns an empty engine with all defaults.
func New() *DB { return Open(Config{}) }

// Open returns an empty engine. There is nothing that could fail.
func Open(c Config) *DB {
	db := &DB{keep: c.Retention.OrDefault(), stores: make(map[any]store)}
	db.locker = locker{db: db, leases: make(map[string]timed)}
	return db
}

// Locker returns the leases of every domain.
func (db *DB) Locker() lease.Locker { return &db.locker }

// Close forgets everything. Calls that follow, and every Watch, return
// storage.ErrClosed. It may be called twice.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	db.locker.leases = nil
	for _, s := range db.stores {
		s.forget()
	}
	return nil
}

// lock takes the mutex for one call, unless the call must not begin.
func (db *DB) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return storage.ErrClosed
	}
	return nil
}

// newestFirst lists what older returns: the newest entry before a place, its
// place, and whether there is one. Older is called with the mutex.
func newestFirst[T any](ctx context.Context, db *DB, before int64, older func(before int64) (T, int64, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		before := before // each range begins anew
		for {
			var entry T
			err := db.lock(ctx)
			more := err != nil
			if err == nil {
				entry, before, more = older(before)
				db.mu.Unlock()
			}
			if !more || !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// stamp is how an instant leaves the engine: UTC, in milliseconds as other
// engines keep it, and without a monotonic reading.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
