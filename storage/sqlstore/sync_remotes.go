package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// SyncRemotes are the remotes of package sync in a database.
type SyncRemotes struct {
	db DB
	d  Dialect

	insert, begin, touch, stale, left, remove string
}

var _ cloudsync.Remotes = (*SyncRemotes)(nil)

// Remotes returns the remotes of package sync that are made by name.
func (a *Accessors) Remotes() cloudsync.Remotes { return a.remotes() }

// Remote returns a remote of package sync, which needs no Create.
func (a *Accessors) Remote(name string) cloudsync.Remote { return a.remotes().Remote(name) }

func (a *Accessors) remotes() *SyncRemotes {
	return storeOf(a, "sync", "", func(db DB, _ storage.Retention) *SyncRemotes { return NewSyncRemotes(db) })
}

// NewSyncRemotes returns the remotes in db. An engine makes one and keeps it.
func NewSyncRemotes(db DB) *SyncRemotes {
	d := db.Dialect()
	return &SyncRemotes{
		db: db, d: d,
		insert: d.clocked(4, objectInsert), begin: d.clocked(1, looseBegin), touch: d.clocked(1, looseTouch),
		stale: d.clocked(1, looseStale), left: d.clocked(1, remoteLeft), remove: d.clocked(1, remoteRemove),
	}
}

// On returns the same remotes in a transaction of the caller's, which db stands
// for.
func (s *SyncRemotes) On(db DB) *SyncRemotes {
	on := *s
	on.db = db
	return &on
}

// Remote returns a handle of the remote of a name, which needs no Create.
func (s *SyncRemotes) Remote(name string) cloudsync.Remote { return &syncRemote{on: s, name: name} }

const (
	remoteOpen = `SELECT id FROM upkeep_sync_remote WHERE name = ?1 AND folded IS NOT NULL`

	remoteNamed = `SELECT id FROM upkeep_sync_remote WHERE name = ?1`

	remoteThere = `SELECT id FROM upkeep_sync_remote WHERE id = ?1 AND name IS NOT NULL`

	// remoteInsert makes one, unless there is one of that name, or another one that
	// folds to the same.
	remoteInsert = `
INSERT INTO upkeep_sync_remote (id, name, folded, removed_ms) VALUES (?1, ?2, ?3, 0)
ON CONFLICT DO NOTHING RETURNING id`

	// remoteAdopt lists one that was written before anybody created it.
	remoteAdopt = `
UPDATE upkeep_sync_remote SET folded = ?2 WHERE name = ?1 AND folded IS NULL
	AND NOT EXISTS (SELECT 1 FROM upkeep_sync_remote AS other WHERE other.folded = ?2)
RETURNING id`

	remoteNames = `
SELECT name FROM upkeep_sync_remote WHERE name > ?1 AND folded IS NOT NULL ORDER BY name LIMIT {size}`

	remoteRemove = `
UPDATE upkeep_sync_remote SET name = NULL, folded = NULL, removed_ms = {now}
WHERE name = ?1 AND folded IS NOT NULL RETURNING id`
)

// Open keeps the promise of sync.Remotes.
func (s *SyncRemotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	r := &syncRemote{on: s, name: name}
	err := s.db.Row(ctx, remoteOpen, []any{[]byte(name)}, &r.id)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: remote %q", cloudsync.ErrNotFound, name)
	}
	if err != nil {
		return nil, remoteFailed("opening remote", name, err)
	}
	return r, nil
}

// remotePage bounds how many names of remotes, or of objects, are in memory at
// once.
const remotePage = 256

// List keeps the promise of sync.Remotes.
func (s *SyncRemotes) List(ctx context.Context) iter.Seq2[string, error] {
	return list(paging(remotePage), "", func(after string, size int) (p page[string, string], err error) {
		err = s.db.Read(ctx, func(tx Tx) error {
			p = page[string, string]{}
			return p.read(tx, query{limited(remoteNames, size), []any{[]byte(after)}}, func(scan func(...any) error) error {
				var name []byte
				if err := scan(&name); err != nil {
					return err
				}
				if err := p.take(string(name), len(name)); err != nil {
					return err
				}
				p.entries = append(p.entries, string(name))
				return nil
			})
		})
		if err != nil {
			err = fmt.Errorf("listing remotes: %w", unavailable(err))
		}
		return p, err
	})
}

// Create keeps the promise of sync.Remotes.
func (s *SyncRemotes) Create(ctx context.Context, name string) error {
	if err := cloudsync.CheckRemoteName(name); err != nil {
		return err
	}
	folded := []byte(cloudsync.FoldRemoteName(name))
	err := s.db.Write(ctx, func(tx Tx) error {
		if err := execLock(tx, s.d.eventLock("sync")); err != nil {
			return err
		}
		var id int64
		made, err := found(tx.Row(remoteInsert, []any{someID(), []byte(name), folded}, &id))
		if err == nil && !made {
			made, err = found(tx.Row(remoteAdopt, []any{[]byte(name), folded}, &id))
		}
		if err == nil && !made {
			err = cloudsync.ErrExists
		}
		return err
	})
	return remoteFailed("creating remote", name, err)
}

// someID is a number that is nobody's and never comes again.
func someID() int64 { return rand.Int64() }

// Remove keeps the promise of sync.Remotes. What is large goes after the name, and
// what is left when it is interrupted goes with the next one.
func (s *SyncRemotes) Remove(ctx context.Context, name string) error {
	err := s.db.Write(ctx, func(tx Tx) error {
		if err := execLock(tx, s.d.eventLock("sync")); err != nil {
			return err
		}
		var id int64
		_, err := found(tx.Row(s.remove, s.d.withNow([]byte(name)), &id))
		return err
	})
	if err == nil {
		err = s.clear(ctx)
	}
	return remoteFailed("removing remote", name, err)
}

// remoteFailed says of what happened to a remote, or to something in it, what
// package sync calls it.
func remoteFailed(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", doing, name, unavailable(err))
}

// unavailable gives an error of an engine the name that it has in package sync.
func unavailable(err error) error {
	for _, known := range []struct{ engine, is error }{
		{storage.ErrFull, cloudsync.ErrFull}, {storage.ErrReadOnly, cloudsync.ErrDenied},
		{storage.ErrBusy, cloudsync.ErrUnavailable}, {storage.ErrCorrupt, cloudsync.ErrCorrupt},
	} {
		if errors.Is(err, known.engine) && !errors.Is(err, known.is) {
			return fmt.Errorf("%w: %w", known.is, err)
		}
	}
	return err
}
