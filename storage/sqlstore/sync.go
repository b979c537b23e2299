package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// SyncFolder is the sync.FolderStore of a folder.
type SyncFolder struct {
	db     DB
	d      Dialect
	folder []byte
	events eventLog[cloudsync.Event]

	tell string
}

var _ cloudsync.FolderStore = (*SyncFolder)(nil)

// SyncState returns what package sync notes about a folder.
func (a *Accessors) SyncState(folder string) cloudsync.FolderStore {
	return storeOf(a, "sync", folder, func(db DB, keep storage.Retention) *SyncFolder { return NewSyncFolder(db, keep, folder) })
}

// NewSyncFolder returns the FolderStore of a folder in db. An engine makes one of
// each and keeps it.
func NewSyncFolder(db DB, keep storage.Retention, folder string) *SyncFolder {
	d := db.Dialect()
	return &SyncFolder{
		db: db, d: d, folder: []byte(folder),
		events: newEventLog(db, keep, "sync", syncEvents).logOf(folder),
		tell:   d.clocked(1, syncTell),
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (s *SyncFolder) On(db DB) *SyncFolder {
	on := *s
	on.db, on.events = db, s.events.on(db)
	return &on
}

const (
	// syncFence notes a token that is not 0, unless a greater one has written.
	syncFence = `
INSERT INTO upkeep_sync_folder (folder, token) VALUES (?1, ?2)
ON CONFLICT (folder) DO UPDATE SET
	token = CASE WHEN excluded.token = 0 THEN upkeep_sync_folder.token ELSE excluded.token END
	WHERE excluded.token = 0 OR excluded.token >= upkeep_sync_folder.token
RETURNING token`

	// syncTell is the time, and the number of the folder's next event: those of a
	// folder that is new follow where the history begins.
	syncTell = `
SELECT {now}, coalesce(max(e.seq), (SELECT max(h.base) FROM upkeep_history AS h), 0) + 1
FROM upkeep_sync_event AS e WHERE e.folder = ?1`

	syncPut = `
INSERT INTO upkeep_sync_entry (folder, entry_key, value) VALUES (?1, ?2, ?3)
ON CONFLICT (folder, entry_key) DO UPDATE SET value = excluded.value`

	syncDrop = `DELETE FROM upkeep_sync_entry WHERE folder = ?1 AND entry_key = ?2`

	syncEntry = `SELECT value FROM upkeep_sync_entry WHERE folder = ?1 AND entry_key = ?2`

	syncEntries = `SELECT entry_key, value FROM upkeep_sync_entry WHERE folder = ?1 AND entry_key >= ?2`
)

// Update keeps the promise of sync.FolderStore.
func (s *SyncFolder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (seq int64, err error) {
	if err := cloudsync.CheckUpdate(token, entries); err != nil {
		return 0, err
	}
	err = s.db.Write(ctx, func(tx Tx) (err error) {
		if len(events) > 0 {
			if err := s.events.lock(tx); err != nil {
				return err
			}
		}
		var written int64
		err = tx.Row(syncFence, []any{s.folder, token}, &written)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: a token greater than %d has written", cloudsync.ErrStale, token)
		}
		for i := 0; err == nil && i < len(entries); i++ {
			err = s.write(tx, entries[i])
		}
		if err == nil {
			seq, err = s.append(tx, events)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("writing what is noted of folder %q: %w", s.folder, err)
	}
	return seq, nil
}

func (s *SyncFolder) write(tx Tx, e cloudsync.Entry) error {
	if e.Value == nil {
		return tx.Exec(syncDrop, s.folder, []byte(e.Key))
	}
	return tx.Exec(syncPut, s.folder, []byte(e.Key), e.Value)
}

// append writes events, and returns the number of the last.
func (s *SyncFolder) append(tx Tx, events []cloudsync.Event) (seq int64, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	var now, next int64
	if err := tx.Row(s.tell, s.d.withNow(s.folder), &now, &next); err != nil {
		return 0, err
	}
	for i, e := range events {
		record, err := encode(syncEventOf(e))
		if err != nil {
			return 0, err
		}
		if err := s.events.append(tx, next+int64(i), now, s.folder, []byte(e.Run), record); err != nil {
			return 0, err
		}
	}
	return next + int64(len(events)) - 1, nil
}

// Get keeps the promise of sync.FolderStore.
func (s *SyncFolder) Get(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	there, err := found(s.db.Row(ctx, syncEntry, []any{s.folder, []byte(key)}, &value))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading what is noted of folder %q: %w", s.folder, err)
	case !there:
		return nil, fmt.Errorf("%w: entry %q of folder %q", cloudsync.ErrNotFound, key, s.folder)
	case value == nil:
		return []byte{}, nil // as a driver may read one of no bytes
	}
	return value, nil
}

// List keeps the promise of sync.FolderStore. All that has the prefix is in memory
// at once, since it is of one moment and the caller may take its time.
func (s *SyncFolder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return func(yield func(cloudsync.Entry, error) bool) {
		var entries []cloudsync.Entry
		q := query{syncEntries, []any{s.folder, []byte(prefix)}}
		if end := following(prefix); end != nil {
			q.text += " AND entry_key < " + q.arg(end)
		}
		q.text += " ORDER BY entry_key"
		err := s.db.Read(ctx, func(tx Tx) error {
			entries = nil
			return tx.Query(q.text, q.args, func(scan func(...any) error) error {
				var key, value []byte
				if err := scan(&key, &value); err != nil {
					return err
				}
				if value == nil {
					value = []byte{} // as a driver may read one of no bytes
				}
				entries = append(entries, cloudsync.Entry{Key: string(key), Value: value})
				return nil
			})
		})
		if err != nil {
			yield(cloudsync.Entry{}, fmt.Errorf("reading what is noted of folder %q: %w", s.folder, err))
			return
		}
		for i, e := range entries {
			entries[i] = cloudsync.Entry{} // the caller may be done with it soon
			if !yield(e, nil) {
				return
			}
		}
	}
}

// following returns the least bytes that are greater than all with the prefix, or
// nil if there are none.
func following(prefix string) []byte {
	end := []byte(prefix)
	for n := len(end); n > 0; n-- {
		if end[n-1]++; end[n-1] != 0 {
			return end[:n]
		}
	}
	return nil
}

// Watch keeps the promise of sync.FolderStore.
func (s *SyncFolder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return s.events.watch(ctx, after)
}

// syncEvents is the table of the events of all folders.
var syncEvents = &eventTable[cloudsync.Event]{
	insert:    `INSERT INTO upkeep_sync_event (seq, time_ms, folder, run, record) VALUES (?1, ?2, ?3, ?4, ?5)`,
	after:     `SELECT seq, time_ms, run, record FROM upkeep_sync_event WHERE seq >= ?1{and} ORDER BY seq LIMIT {size}`,
	part:      "folder",
	compacted: cloudsync.ErrCompacted,
	scan: scanEvents(decodeSyncEvent, cloudsync.Event{Kind: cloudsync.EventCorrupt}, func(e *cloudsync.Event, seq int64, at time.Time, run string) {
		e.Seq, e.Time, e.Run = seq, at, run
	}),
}

type syncEvent struct {
	Kind     bytesText    `json:"kind,omitzero"`
	State    bytesText    `json:"state,omitzero"`
	Step     bytesText    `json:"step,omitzero"`
	Percent  int          `json:"percent,omitzero"`
	Progress syncProgress `json:"progress,omitzero"`
	Path     bytesText    `json:"path,omitzero"`
	Actor    bytesText    `json:"actor,omitzero"`
	Message  bytesText    `json:"message,omitzero"`
}

type syncProgress struct {
	Files    int64 `json:"files,omitzero"`
	AllFiles int64 `json:"all_files,omitzero"`
	Bytes    int64 `json:"bytes,omitzero"`
	AllBytes int64 `json:"all_bytes,omitzero"`
}

func syncEventOf(e cloudsync.Event) syncEvent {
	return syncEvent{
		Kind: bytesText(e.Kind), State: bytesText(e.State), Step: bytesText(e.Step), Percent: e.Percent,
		Progress: syncProgress(e.Progress), Path: bytesText(e.Path), Actor: bytesText(e.Actor), Message: bytesText(e.Message),
	}
}

func decodeSyncEvent(data string) (cloudsync.Event, error) {
	var e syncEvent
	err := decode(data, &e)
	return cloudsync.Event{
		Kind: cloudsync.EventKind(e.Kind), State: cloudsync.State(e.State), Step: cloudsync.Step(e.Step), Percent: e.Percent,
		Progress: cloudsync.Progress(e.Progress), Path: string(e.Path), Actor: string(e.Actor), Message: string(e.Message),
	}, err
}
