// Package memory keeps everything in memory: for tests, and for programs that
// may forget when they end. It is small, needs nothing, and keeps every promise
// of the other engines but durability. Its time is time.Now, which
// testing/synctest can fake.
//
// Read memory.go, then lease.go; update_journal.go; and lv.go before
// lv_write.go, lv_release.go and lv_read.go. Package storage/sqlstore has the
// same promises in SQL.
package memory

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
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
	mu       sync.Mutex
	closed   bool
	locker   locker
	journal  journal
	versions versions
	devices  map[string]*device
	keep     storage.Retention
}

// New returns an empty engine with all defaults.
func New() *DB { return Open(Config{}) }

// Open returns an empty engine. There is nothing that could fail.
func Open(c Config) *DB {
	db, keep := new(DB), c.Retention.OrDefault()
	db.locker = locker{db: db, leases: make(map[string]timed)}
	db.journal = newJournal(db, keep)
	db.versions = newVersions(db, keep)
	db.devices, db.keep = make(map[string]*device), keep
	return db
}

// Locker returns the leases of every domain.
func (db *DB) Locker() lease.Locker { return &db.locker }

// Journal returns the runs of package update.
func (db *DB) Journal() update.Journal { return &db.journal }

// Versions returns the rows of package lv.
func (db *DB) Versions() lv.VersionStore { return &db.versions }

// Firmware returns what package firmware keeps of a device.
func (db *DB) Firmware(name string) firmware.DeviceStore {
	db.mu.Lock()
	defer db.mu.Unlock()
	d := db.devices[name]
	if d == nil {
		d = newDevice(db, db.keep)
		db.devices[name] = d
	}
	return d
}

// Close forgets everything. Calls that follow, and every Watch, return
// storage.ErrClosed. It may be called twice.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	db.locker.leases = nil
	db.journal.forget()
	db.versions.forget()
	for _, d := range db.devices {
		d.forget()
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
