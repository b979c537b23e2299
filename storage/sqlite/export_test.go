package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Write lets tests bring closures of their own.
func (d *DB) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	return d.engine.Write(ctx, f)
}

// Read lets tests look at a snapshot.
func (d *DB) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return d.engine.Read(ctx, f)
}

// Readers is how many snapshots there may be at once, and Feeds how many of them
// may be of one store's feed.
func (d *DB) Readers() int { return cap(d.engine.lender.(*own).slots) }
func (d *DB) Feeds() int   { return d.engine.Dialect().Feeds }

// Changed is the hint that Watch waits for.
func (d *DB) Changed(ctx context.Context) <-chan struct{} { return d.engine.Changed(ctx) }

// CountCommits counts the transactions that the writer commits from now on.
// Nothing may be under way.
func (d *DB) CountCommits() *atomic.Int64 {
	n, tell := new(atomic.Int64), d.engine.writer.commit
	d.engine.writer.commit = func() { n.Add(1); tell() }
	return n
}

// Polls reports whether somebody looks for the commits of other processes.
func (d *DB) Polls() bool {
	d.engine.notice.mu.Lock()
	defer d.engine.notice.mu.Unlock()
	return d.engine.notice.polls
}

// OpenWith opens a database as a library with other migrations does.
func OpenWith(c Config, migrations fs.FS) (*DB, error) { return openWith(c, migrations) }

// UseWith is the same for Use.
func UseWith(ctx context.Context, db *sql.DB, c Config, migrations fs.FS) (*DB, error) {
	return useWith(ctx, db, c, migrations)
}

// Base is the first number of the present history.
func (d *DB) Base(ctx context.Context) (base int64, err error) {
	err = d.engine.Row(ctx, "SELECT max(base) FROM upkeep_history", nil, &base)
	return base, err
}

// Newest is the greatest number of a table of events.
func (d *DB) Newest(ctx context.Context, table string) (seq int64, err error) {
	err = d.engine.Row(ctx, "SELECT coalesce(max(seq), 0) FROM "+table, nil, &seq)
	return seq, err
}

// KnowsWhenAFileWasMade reports whether the file system of a file does.
func KnowsWhenAFileWasMade(path string) bool { return born(path) != 0 }

// CleanBeside leaves of the file beside the database what it notes.
func (d *DB) CleanBeside(ctx context.Context) error {
	var place string
	if err := d.engine.Row(ctx, placeNoted, nil, &place); err != nil {
		return err
	}
	d.engine.lender.(*own).origin.clean(place)
	return nil
}
