package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// A body that is larger than batchSize is written by several transactions. Until
// the last of them, which gives it a name, it is loose: nobody sees it, and it
// goes when nothing was added to it for a day.
const (
	pieceSize = 256 << 10
	batchSize = 16 * pieceSize
	looseFor  = 24 * time.Hour
)

const (
	objectThere = `
SELECT o.body FROM upkeep_sync_object AS o
WHERE o.remote = (SELECT r.id FROM upkeep_sync_remote AS r WHERE {remote}) AND o.name = ?2`

	objectInsert = `
INSERT INTO upkeep_sync_object (remote, name, body, size, time_ms) VALUES (?1, ?2, ?3, ?4, {now})
ON CONFLICT (remote, name) DO NOTHING RETURNING body`

	pieceInsert = `INSERT INTO upkeep_sync_piece (body, n, content) VALUES (?1, ?2, ?3)`

	looseBegin = `INSERT INTO upkeep_sync_loose (body, touched_ms) VALUES (?1, {now})`

	looseTouch = `UPDATE upkeep_sync_loose SET touched_ms = {now} WHERE body = ?1 AND touched_ms > 0 RETURNING body`

	looseEnd = `DELETE FROM upkeep_sync_loose WHERE body = ?1 AND touched_ms > 0 RETURNING body`
)

// upload is a body on its way.
type upload struct {
	r    *syncRemote
	name string
	from cloudsync.Body
	body int64
	at   int64 // bytes that are written
	part []byte
}

// PutIfAbsent keeps the promise of sync.Remote.
func (r *syncRemote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if err := r.enter(ctx, &name); err != nil {
		return err
	}
	u := &upload{r: r, name: name, from: body, body: someID()}
	size := body.Size()
	if size <= batchSize {
		return r.failed("putting", name, u.end(ctx, size))
	}
	err := r.absent(ctx, name)
	if err == nil {
		err = r.on.clearLoose(ctx) // of those who were killed
	}
	for err == nil && size-u.at > batchSize {
		err = u.more(ctx)
	}
	if err == nil {
		err = u.end(ctx, size)
	}
	if err != nil && u.at > 0 {
		err = errors.Join(err, u.drop(ctx))
	}
	return r.failed("putting", name, err)
}

// absent is ErrExists for what is there, before it costs more to learn that.
func (r *syncRemote) absent(ctx context.Context, name string) error {
	key, condition := r.key()
	var body int64
	there, err := found(r.on.db.Row(ctx, remoteIs(objectThere, condition), []any{key, []byte(name)}, &body))
	if err == nil && there {
		err = cloudsync.ErrExists
	}
	return err
}

// fill reads the next n bytes.
func (u *upload) fill(ctx context.Context, n int64) error {
	if u.part == nil {
		u.part = make([]byte, n)
	}
	u.part = u.part[:n]
	if _, err := io.ReadFull(io.NewSectionReader(u.from, u.at, n), u.part); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading the body from %d on: %w", u.at, err)
	}
	return ctx.Err()
}

// more writes a batch that is not the last.
func (u *upload) more(ctx context.Context) error {
	if err := u.fill(ctx, batchSize); err != nil {
		return err
	}
	s := u.r.on
	err := s.db.Write(ctx, func(tx Tx) error {
		if u.at == 0 {
			if err := tx.Exec(s.begin, s.d.withNow(u.body)...); err != nil {
				return err
			}
		} else if err := u.stillLoose(tx, s.touch, s.d.withNow(u.body)); err != nil {
			return err
		}
		return u.write(tx)
	})
	if err == nil {
		u.at += batchSize
	}
	return err
}

// stillLoose makes a statement that changes the loose body.
func (u *upload) stillLoose(tx Tx, statement string, args []any) error {
	var body int64
	err := tx.Row(statement, args, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: nothing was added to it for a day", cloudsync.ErrStale)
	}
	return err
}

// write writes the pieces of a batch.
func (u *upload) write(tx Tx) error {
	for i := 0; i < len(u.part); i += pieceSize {
		err := tx.Exec(pieceInsert, u.body, (u.at+int64(i))/pieceSize, u.part[i:min(i+pieceSize, len(u.part))])
		if err != nil {
			return err
		}
	}
	return nil
}

// end writes the rest of the body, and gives it its name.
func (u *upload) end(ctx context.Context, size int64) error {
	if err := u.fill(ctx, size-u.at); err != nil {
		return err
	}
	s := u.r.on
	return s.db.Write(ctx, func(tx Tx) error {
		id, err := u.r.find(tx)
		if err == nil && id == 0 {
			id, err = u.r.make(tx)
		}
		if err != nil {
			return err
		}
		var body int64
		put, err := found(tx.Row(s.insert, s.d.withNow(id, []byte(u.name), u.body, size), &body))
		if err == nil && !put {
			err = cloudsync.ErrExists
		}
		if err == nil && u.at > 0 {
			err = u.stillLoose(tx, looseEnd, []any{u.body})
		}
		if err != nil {
			return err
		}
		return u.write(tx)
	})
}

// make makes a remote that nobody creates.
func (r *syncRemote) make(tx Tx) (id int64, err error) {
	made, err := found(tx.Row(remoteInsert, []any{someID(), []byte(r.name), nil}, &id))
	if err == nil && !made { // another one was faster
		id, err = r.find(tx)
	}
	return id, err
}

// drop deletes what was written of a body that has no name.
func (u *upload) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s := u.r.on
	err := s.db.Write(ctx, func(tx Tx) error { return tx.Exec(looseRelease, u.body) })
	if err == nil {
		err = s.clearLoose(ctx)
	}
	return err
}
