package step

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

const migrationTable = "upkeep_step_migration"

// defaultLongest is Migrations.Longest where that is 0.
const defaultLongest = 10 * time.Minute

// Migrations says what to migrate, and how to go back.
type Migrations struct {
	// DB is required: SQLite or PostgreSQL, by any driver that takes several
	// statements in one Exec, and without a pooler in between that gives each
	// transaction another session.
	DB *sql.DB
	// Files is required: the files of a release are all migrations that led
	// to it, those of earlier releases included.
	Files Tree
	// Backup saves the database before the first file is run, and puts it back
	// when the step is undone. Default: no Undo; then what the files of a
	// release that was rolled back did stays, and the release before it must
	// live with that.
	Backup Backup
	// Longest is how long a file may take, or a statement of one that runs
	// outside a transaction, the time that it waits for others included. The
	// step counts as alive meanwhile, whatever Config.LockTTL is; then the file
	// fails. Default 10 minutes.
	Longest time.Duration
}

// MigrateSQL runs the SQL files of a release, 0001_name.sql and so on, that
// the database has not seen yet, in the order of their numbers. Other files
// are left alone, but for those that look misspelt: Check refuses names that
// end in .sql in any case and are not like that, and folders that hold such.
// A file is text in UTF-8 of at most 64 MiB; a byte order mark is no part of it.
//
// Each file is run in one transaction together with its row in table
// upkeep_step_migration (name, checksum, applied_ms: Unix milliseconds, run:
// the ID of the run, state, done), so that after a crash it is there whole or
// not at all. It is run on a connection of its own, which is then thrown away:
// what it sets for its session ends with it. (A SQLite database in memory is
// its connection, which is kept as the file left it.) On PostgreSQL the server
// is told to end the session, of which it makes a line in its log. A SQLite
// database that also holds the state of Upkeep is locked meanwhile: a file must
// then be done within Config.LockTTL, whatever Longest is.
//
// A file has no BEGIN, COMMIT or ROLLBACK of its own, which Check refuses. If
// one ends its transaction all the same, Do finds that out: it fails with
// [ErrHalfApplied], the row says "half", and no file is run until somebody has
// put that right or a Backup was restored.
//
// In SQLite, PRAGMA foreign_keys is honoured around a table that is made anew:
// a file with a statement that turns it off runs without foreign keys as a
// whole, and fails if PRAGMA foreign_key_check then finds more rows without a
// parent, between any two tables, than there were. PRAGMA defer_foreign_keys
// does what it does in SQLite.
//
// Check also refuses a file with what takes it back, as goose, dbmate and other
// tools have it after a line such as "-- +goose Down": it would be run as well.
//
// What cannot run in a transaction (VACUUM, CREATE INDEX CONCURRENTLY, PRAGMA
// journal_mode and so on) is refused by Check, unless the file's first line is
//
//	-- upkeep: no transaction
//
// Then its statements are run one by one. Each runs in a transaction of its
// own with a count of those that are done, if it can; one that cannot is
// counted afterwards, and is therefore run again when a crash came in between.
// So Check wants it to bear that: it says IF [NOT] EXISTS, or is such as
// VACUUM, or has the line "-- upkeep: repeatable" before it, which also takes
// any other statement out of its transaction. After a crash, or an error that
// was put right, the file goes on where it was, SET, SELECT set_config, PRAGMA
// and ATTACH before that place being run again; what is not done yet may be
// changed by then. An invalid index that CREATE INDEX CONCURRENTLY IF NOT
// EXISTS left is dropped first. Until the end the row says "partly".
//
// Do refuses what cannot be meant: a file that was changed after it was
// applied (line ends aside), one that comes before an applied one, and a
// database with a migration that the release does not have. Check does too.
// Of two processes that migrate one database at once each file is run by one.
//
// Probe tells whether all files are recorded. Undo is by Backup: if this run
// applied a file, or a part of one, the whole database becomes what it was
// before, rows that others wrote since included; those are in the copy that
// [SQLite] makes before. Undo refuses to go back past a migration that was
// applied later.
func MigrateSQL(m Migrations) update.Step {
	s := update.Step{Name: "migrate", Check: m.check, Do: m.do, Probe: m.probe}
	if m.Backup != nil {
		s.Undo = m.undo
	}
	return s
}

// migrated is what the step keeps: written before its first effect.
type migrated struct {
	Pending []string // the files this run is to apply
	Done    int      // statements of the first one that were done before
	Copy    string   // the name of Backup's copy
}

func (m Migrations) check(ctx context.Context, t *update.Task) error {
	if m.DB == nil || m.Files == nil {
		return errors.New("step: Migrations needs a DB and Files")
	}
	if m.Longest < 0 {
		return fmt.Errorf("step: Migrations.Longest is %s, and must not be negative", m.Longest)
	}
	if err := m.DB.PingContext(ctx); err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	if _, _, err := m.look(ctx, t.Release, false); err != nil {
		return err
	}
	if m.Backup != nil {
		return m.Backup.Check(ctx)
	}
	return nil
}

func (m Migrations) do(ctx context.Context, t *update.Task) error {
	todo, rows, err := m.look(ctx, t.Release, true)
	if err != nil || len(todo) == 0 {
		return err
	}
	var d migrated
	if err := t.Load(&d); err != nil {
		return err
	}
	if d.Pending == nil { // else an earlier attempt got this far
		for _, f := range todo {
			d.Pending = append(d.Pending, f.name)
		}
		d.Done = rows[todo[0].name].done
		if m.Backup != nil {
			if d.Copy, err = m.Backup.Save(ctx, t); err != nil {
				return err
			}
		}
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	for i, f := range todo {
		t.Progress(int64(i), int64(len(todo)), f.name)
		if err := m.apply(ctx, t, f); err != nil {
			return fmt.Errorf("running %s: %w", f.name, err)
		}
	}
	return nil
}

func (m Migrations) probe(ctx context.Context, t *update.Task) (update.Applied, error) {
	var d migrated
	if err := t.Load(&d); err != nil {
		return update.AppliedUnknown, err
	}
	todo, rows, err := m.look(ctx, t.Release, true)
	switch {
	case err != nil:
		return update.AppliedUnknown, err
	case len(todo) == 0:
		return update.AppliedYes, nil
	case len(todo) >= len(d.Pending) && rows[todo[0].name].done <= d.Done:
		return update.AppliedNo, nil
	}
	return update.AppliedUnknown, nil // Do goes on where it stopped, Undo restores
}

func (m Migrations) undo(ctx context.Context, t *update.Task) error {
	var d migrated
	if err := t.Load(&d); err != nil || len(d.Pending) == 0 {
		return err
	}
	rows, err := m.rows(ctx, true) // an older copy, put back by now, may lack the table
	if err != nil {
		return err
	}
	got, ok := rows[d.Pending[0]]
	if !ok || got.state == statePartly && got.done <= d.Done {
		return nil // nothing was done, or all of it is undone
	}
	last := d.Pending[len(d.Pending)-1]
	for name := range rows {
		if name > last {
			return fmt.Errorf("step: %s was applied after %s and would be lost", name, last)
		}
	}
	return m.Backup.Restore(ctx, t, d.Copy)
}

// look returns which files of a release are yet to be applied, and what is recorded.
func (m Migrations) look(ctx context.Context, r update.Release, makeTable bool) (todo []migration, rows map[string]row, err error) {
	files, err := m.read(r)
	if err != nil {
		return nil, nil, err
	}
	err = m.session(ctx, func(s *session) error {
		for i := range files {
			if err := files[i].inspect(s.engine); err != nil {
				return err
			}
		}
		rows, err = s.rows(ctx, makeTable)
		return err
	})
	if err == nil {
		todo, err = pending(files, rows, r)
	}
	return todo, rows, err
}

// rows returns the row of every file by its name.
func (m Migrations) rows(ctx context.Context, makeTable bool) (rows map[string]row, err error) {
	err = m.session(ctx, func(s *session) error {
		rows, err = s.rows(ctx, makeTable)
		return err
	})
	return rows, err
}
