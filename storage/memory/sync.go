package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/eventlog"
	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// folder is the sync.FolderStore of one folder.
type folder struct {
	db      *DB
	token   int64 // the greatest that has written
	entries map[string][]byte
	log     eventlog.Log[cloudsync.Event]
}

// SyncState returns what package sync notes about a folder.
func (db *DB) SyncState(name string) cloudsync.FolderStore { return storeOf(db, name, newFolder) }

func newFolder(db *DB, keep storage.Retention) *folder {
	return &folder{
		db: db, entries: make(map[string][]byte),
		log: eventlog.Log[cloudsync.Event]{Events: keep.Events, Age: keep.Age, Compacted: cloudsync.ErrCompacted},
	}
}

// Update implements sync.FolderStore.
func (f *folder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	if err := cloudsync.CheckUpdate(token, entries); err != nil {
		return 0, err
	}
	if err := f.db.lock(ctx); err != nil {
		return 0, err
	}
	defer f.db.mu.Unlock()
	if token != 0 && token < f.token {
		return 0, cloudsync.ErrStale
	}
	f.token = max(f.token, token)
	for _, e := range entries {
		if e.Value == nil {
			delete(f.entries, e.Key)
		} else {
			f.entries[e.Key] = bytes.Clone(e.Value)
		}
	}
	if len(events) == 0 {
		return 0, nil
	}
	now, last := stamp(time.Now()), f.log.Last()
	events = slices.Clone(events)
	for i := range events {
		events[i].Seq, events[i].Time = last+int64(i)+1, now
	}
	f.log.Append(now, events...)
	return last + int64(len(events)), nil
}

// Get implements sync.FolderStore.
func (f *folder) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.db.lock(ctx); err != nil {
		return nil, err
	}
	defer f.db.mu.Unlock()
	value, there := f.entries[key]
	if !there {
		return nil, fmt.Errorf("%w: entry %q", cloudsync.ErrNotFound, key)
	}
	return bytes.Clone(value), nil
}

// List implements sync.FolderStore.
func (f *folder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return func(yield func(cloudsync.Entry, error) bool) {
		if err := f.db.lock(ctx); err != nil {
			yield(cloudsync.Entry{}, err)
			return
		}
		found := maps.Clone(f.entries) // a value is never written to
		f.db.mu.Unlock()
		maps.DeleteFunc(found, func(key string, _ []byte) bool { return !strings.HasPrefix(key, prefix) })
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if !yield(cloudsync.Entry{Key: key, Value: bytes.Clone(found[key])}, nil) {
				return
			}
		}
	}
}

// Watch implements sync.FolderStore.
func (f *folder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return f.log.Watch(ctx, after)
}

// forget implements store.
func (f *folder) forget() {
	f.entries = nil
	f.log.Close(storage.ErrClosed)
}
