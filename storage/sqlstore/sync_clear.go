package sqlstore

import (
	"context"
	"strings"
)

// What is deleted is out of sight at once, and goes in transactions of clearPieces
// at most, so that others find room between them.
const clearPieces = 64 // of 256 KiB

const (
	looseAdd = `INSERT INTO upkeep_sync_loose (body, touched_ms) VALUES (?1, 0)`

	looseRelease = `UPDATE upkeep_sync_loose SET touched_ms = 0 WHERE body = ?1`

	// looseStale finds one that nobody writes any more, {now} being the time.
	looseStale = `
SELECT body, touched_ms FROM upkeep_sync_loose WHERE touched_ms < {now} - CAST(?1 AS BIGINT) ORDER BY touched_ms LIMIT 1`

	// looseClaim keeps its writer from going on.
	looseClaim = `
UPDATE upkeep_sync_loose SET touched_ms = 0 WHERE body = ?1 AND touched_ms <= ?2 RETURNING body`

	looseDelete = `DELETE FROM upkeep_sync_loose WHERE body = ?1`

	pieceLast = `SELECT coalesce(max(n), -1) FROM upkeep_sync_piece WHERE body = ?1`

	pieceDelete = `DELETE FROM upkeep_sync_piece WHERE body = ?1 AND n >= ?2`

	// remoteLeft finds a removed remote that has something, or that nobody can
	// write to any more.
	remoteLeft = `
SELECT r.id FROM upkeep_sync_remote AS r WHERE r.removed_ms > 0 AND (r.removed_ms < {now} - CAST(?1 AS BIGINT)
	OR EXISTS (SELECT 1 FROM upkeep_sync_object AS o WHERE o.remote = r.id)) LIMIT 1`

	objectsLeft = `SELECT name, size FROM upkeep_sync_object WHERE remote = ?1 ORDER BY name LIMIT 64`

	remoteDelete = `
DELETE FROM upkeep_sync_remote WHERE id = ?1 AND removed_ms > 0
	AND NOT EXISTS (SELECT 1 FROM upkeep_sync_object AS o WHERE o.remote = ?1)`
)

// remoteIs writes how a remote is found into a statement.
func remoteIs(query, condition string) string {
	return strings.Replace(query, "{remote}", condition, 1)
}

// dropBody deletes the pieces of a body whose object is gone, or leaves them to
// clearLoose if they are many.
func dropBody(tx Tx, body, size int64) (loose bool, err error) {
	if size > clearPieces*pieceSize {
		return true, tx.Exec(looseAdd, body)
	}
	return false, tx.Exec(pieceDelete, body, int64(0))
}

// clearLoose deletes the bodies that nobody writes any more.
func (s *SyncRemotes) clearLoose(ctx context.Context) error {
	for {
		var body, touched int64
		there, err := found(s.db.Row(ctx, s.stale, s.d.withNow(looseFor.Milliseconds()), &body, &touched))
		for more := there; err == nil && more; {
			err = s.db.Write(ctx, func(tx Tx) (err error) {
				more, err = clearBody(tx, body, touched)
				return err
			})
			touched = 0
		}
		if err != nil || !there {
			return err
		}
	}
}

// clearBody deletes the last pieces of a loose body, unless somebody has written to
// it since, and reports whether there are more.
func clearBody(tx Tx, body, touched int64) (more bool, err error) {
	var claimed, last int64
	ours, err := found(tx.Row(looseClaim, []any{body, touched}, &claimed))
	if err != nil || !ours {
		return false, err
	}
	if err := tx.Row(pieceLast, []any{body}, &last); err != nil {
		return false, err
	}
	first := max(0, last-clearPieces+1)
	if err := tx.Exec(pieceDelete, body, first); err != nil || first > 0 {
		return true, err
	}
	return false, tx.Exec(looseDelete, body)
}

// clear deletes what removed remotes have.
func (s *SyncRemotes) clear(ctx context.Context) error {
	for {
		var id int64
		there, err := found(s.db.Row(ctx, s.left, s.d.withNow(looseFor.Milliseconds()), &id))
		if err == nil && there {
			err = s.db.Write(ctx, func(tx Tx) error { return clearRemote(tx, id) })
		}
		if err != nil {
			return err
		}
		if !there {
			return s.clearLoose(ctx)
		}
	}
}

// clearRemote deletes some of what a removed remote has, or the remote if it has
// nothing.
func clearRemote(tx Tx, id int64) error {
	var all [][]byte
	pieces := int64(0)
	err := tx.Query(objectsLeft, []any{id}, func(scan func(...any) error) error {
		var name []byte
		var size int64
		if err := scan(&name, &size); err != nil {
			return err
		}
		if pieces < clearPieces {
			all = append(all, name)
		}
		pieces += size/pieceSize + 1
		return nil
	})
	if err == nil && len(all) == 0 {
		return tx.Exec(remoteDelete, id)
	}
	if err != nil {
		return err
	}
	for _, name := range all {
		var body, size int64
		there, err := found(tx.Row(objectDelete, []any{id, name}, &body, &size))
		if err == nil && there {
			_, err = dropBody(tx, body, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
