package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// syncRemote is one handle of a sync.Remote.
type syncRemote struct {
	on     *SyncRemotes
	name   string
	id     int64 // of Open; 0: whatever has the name
	closed atomic.Bool
}

const (
	// objectRead reads a part of the piece ?5 with what is to be known of the
	// object.
	objectRead = `
SELECT o.body, o.size, substr(p.content, CAST(?3 AS INTEGER), CAST(?4 AS INTEGER))
FROM upkeep_sync_object AS o LEFT JOIN upkeep_sync_piece AS p ON p.body = o.body AND p.n = ?5
WHERE o.remote = (SELECT r.id FROM upkeep_sync_remote AS r WHERE {remote}) AND o.name = ?2`

	pieceRead = `
SELECT substr(content, CAST(?3 AS INTEGER), CAST(?4 AS INTEGER)) FROM upkeep_sync_piece WHERE body = ?1 AND n = ?2`

	objectList = `SELECT name, size, time_ms FROM upkeep_sync_object WHERE remote = ?1`

	objectDelete = `DELETE FROM upkeep_sync_object WHERE remote = ?1 AND name = ?2 RETURNING body, size`
)

// enter begins a call, on an object unless object is nil.
func (r *syncRemote) enter(ctx context.Context, object *string) error {
	if r.closed.Load() {
		return cloudsync.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.id == 0 {
		if err := cloudsync.CheckRemoteName(r.name); err != nil {
			return err
		}
	}
	if object != nil {
		return cloudsync.CheckName(*object)
	}
	return nil
}

// failed is an error of a call on an object.
func (r *syncRemote) failed(doing, object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("remote %q: %w", r.name, remoteFailed(doing, object, err))
}

// key is what the remote is found by, and the condition for it as ?1.
func (r *syncRemote) key() (key any, condition string) {
	if r.id != 0 {
		return r.id, "r.id = ?1 AND r.name IS NOT NULL"
	}
	return []byte(r.name), "r.name = ?1"
}

// find returns the remote's id, or 0 for one that has nothing yet.
func (r *syncRemote) find(tx Tx) (id int64, err error) {
	if r.id == 0 {
		_, err = found(tx.Row(remoteNamed, []any{[]byte(r.name)}, &id))
		return id, err
	}
	there, err := found(tx.Row(remoteThere, []any{r.id}, &id))
	if err == nil && !there {
		err = fmt.Errorf("%w: the remote was removed", cloudsync.ErrNotFound)
	}
	return id, err
}

// Get keeps the promise of sync.Remote. Small objects take one statement.
func (r *syncRemote) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := r.enter(ctx, &name); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("%w: offset %d", cloudsync.ErrInvalid, off)
	}
	first := pieceSize - off%pieceSize // bytes of the first piece
	if n >= 0 {
		first = min(first, n)
	}
	key, condition := r.key()
	o := &objectReader{ctx: ctx, of: r, name: name, at: off}
	var size int64
	err := r.on.db.Row(ctx, remoteIs(objectRead, condition),
		[]any{key, []byte(name), off%pieceSize + 1, first, off / pieceSize}, &o.body, &size, &o.read)
	if errors.Is(err, sql.ErrNoRows) {
		err = cloudsync.ErrNotFound
	}
	if err != nil {
		return nil, r.failed("reading", name, err)
	}
	rest := max(size-off, 0)
	if n < 0 || n > rest {
		n = rest
	}
	o.end = off + n
	if err := o.take(min(first, n)); err != nil {
		return nil, r.failed("reading", name, err)
	}
	return o, nil
}

// objectReader reads a body piece by piece. A body never changes, so that no
// snapshot is held open.
type objectReader struct {
	ctx     context.Context // of one reading
	of      *syncRemote
	name    string
	body    int64
	at, end int64  // what is still to be fetched
	read    []byte // what was, and is still to be read
}

// take notes that so many bytes were fetched.
func (o *objectReader) take(want int64) error {
	if int64(len(o.read)) != want {
		return fmt.Errorf("%w: %d bytes instead of %d from %d on", cloudsync.ErrCorrupt, len(o.read), want, o.at)
	}
	o.at += want
	return nil
}

func (o *objectReader) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	if len(o.read) == 0 && o.at < o.end && len(p) > 0 {
		if err := o.fetch(); err != nil {
			return 0, o.of.failed("reading", o.name, err)
		}
	}
	n := copy(p, o.read)
	o.read = o.read[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fetch reads the next piece, as far as it is wanted.
func (o *objectReader) fetch() error {
	within := o.at % pieceSize
	want := min(pieceSize-within, o.end-o.at)
	err := o.of.on.db.Row(o.ctx, pieceRead, []any{o.body, o.at / pieceSize, within + 1, want}, &o.read)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: it was deleted meanwhile", cloudsync.ErrNotFound)
	}
	if err != nil {
		return err
	}
	return o.take(want)
}

func (o *objectReader) Close() error { return nil }

// List keeps the promise of sync.Remote.
func (r *syncRemote) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return list(paging(remotePage), after, func(after string, size int) (p page[cloudsync.Object, string], err error) {
		if err := r.enter(ctx, nil); err != nil {
			return p, err
		}
		err = r.on.db.Read(ctx, func(tx Tx) (err error) {
			p, err = r.page(tx, prefix, after, size)
			return err
		})
		return p, r.failed("listing", prefix, err)
	})
}

func (r *syncRemote) page(tx Tx, prefix, after string, size int) (p page[cloudsync.Object, string], err error) {
	id, err := r.find(tx)
	if err != nil || id == 0 {
		return p, err
	}
	q := query{objectList, []any{id}}
	if after < prefix {
		q.text += " AND name >= " + q.arg([]byte(prefix))
	} else {
		q.text += " AND name > " + q.arg([]byte(after))
	}
	if end := following(prefix); end != nil {
		q.text += " AND name < " + q.arg(end)
	}
	q.text = limited(q.text+" ORDER BY name LIMIT {size}", size)
	err = p.read(tx, q, func(scan func(...any) error) error {
		var name []byte
		var o cloudsync.Object
		var ms int64
		if err := scan(&name, &o.Size, &ms); err != nil {
			return err
		}
		o.Name, o.Time = string(name), utc(ms)
		if err := p.take(o.Name, len(name)); err != nil {
			return err
		}
		p.entries = append(p.entries, o)
		return nil
	})
	return p, err
}

// Delete keeps the promise of sync.Remote.
func (r *syncRemote) Delete(ctx context.Context, name string) error {
	if err := r.enter(ctx, &name); err != nil {
		return err
	}
	var loose bool
	err := r.on.db.Write(ctx, func(tx Tx) error {
		loose = false
		id, err := r.find(tx)
		if err != nil || id == 0 {
			return err
		}
		var body, size int64
		there, err := found(tx.Row(objectDelete, []any{id, []byte(name)}, &body, &size))
		if err != nil || !there {
			return err
		}
		loose, err = dropBody(tx, body, size)
		return err
	})
	if err == nil && loose {
		err = r.on.clearLoose(ctx)
	}
	return r.failed("deleting", name, err)
}

// Close keeps the promise of sync.Remote.
func (r *syncRemote) Close() error {
	r.closed.Store(true)
	return nil
}
