package step

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// The states of a row in the table of migrations.
const (
	stateApplied = "applied"
	stateHalf    = "half"   // the file ended the transaction that it ran in
	statePartly  = "partly" // so many statements of a file outside a transaction are done
)

// ErrHalfApplied reports a migration file that ended the transaction that it
// ran in, so that a part of it is there for good and another may not be.
var ErrHalfApplied = errors.New("step: migration is half applied")

func halfApplied(name string) error {
	return fmt.Errorf("%w: %s has ended the transaction that it ran in, by a COMMIT, ROLLBACK or the like: "+
		"go back to a backup, or put right what it did and then delete its row in table %s, to run it again, or set state = '%s' there",
		ErrHalfApplied, name, migrationTable, stateApplied)
}

// fileRun is one try at a file.
type fileRun struct {
	*session
	migration
	task  *update.Task
	limit time.Duration // of a file or a statement

	began   bool // there may be a row of it
	applied bool // by this try
	ended   bool // the file ended its transaction
}

// apply runs a file, unless somebody else has by now.
func (m Migrations) apply(ctx context.Context, t *update.Task, f migration) error {
	a := &fileRun{migration: f, task: t, limit: cmp.Or(m.Longest, defaultLongest)}
	err := m.session(ctx, func(s *session) error {
		a.session = s
		if f.apart {
			return a.apart(ctx)
		}
		return a.bounded(ctx, a.whole)
	})
	if err == nil && a.applied || !a.began {
		return err
	}
	return m.settle(ctx, a, err)
}

// bounded calls f with a context that ends after the limit.
func (a *fileRun) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.limit, fmt.Errorf("step: it took longer than Migrations.Longest, which is %s", a.limit))
	defer cancel()
	defer meanwhile(func() {
		if ctx.Err() == nil {
			a.task.Progress(0, 0, a.name)
		}
	})()
	err := f(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// whole runs a file in one transaction with its row. The row says half until
// the end: that is what is left if the file commits before.
func (a *fileRun) whole(ctx context.Context) error {
	checks, err := a.setForeignKeys(ctx)
	if err != nil {
		return err
	}
	a.applied, err = a.within(ctx, func() (bool, error) {
		a.began = true
		if mine, err := a.add(ctx, a.migration, a.checksum, stateHalf, a.task.Run.ID); err != nil || !mine {
			return false, err // somebody else was faster
		}
		var before map[[2]string]int
		if checks {
			// What cannot be checked before cannot be blamed on the file.
			before, err = a.violations(ctx)
			checks = err == nil
		}
		if err := a.inside(ctx, a.sql); err != nil {
			return false, err
		}
		if checks {
			if err := a.compare(ctx, before); err != nil {
				return false, err
			}
		}
		there, err := a.set(ctx, a.migration, "state = '"+stateApplied+"'", "state = '"+stateHalf+"'")
		if err == nil && !there {
			err = fmt.Errorf("step: the file removed its row in table %s", migrationTable)
		}
		return true, err
	})
	return err
}

// inside runs text in a transaction and finds out whether it is still the same
// one afterwards: a savepoint ends with it, and nobody can guess its name.
func (a *fileRun) inside(ctx context.Context, text string) error {
	a.used = true
	savepoint := "upkeep_" + rand.Text()
	if err := a.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return err
	}
	err := a.exec(ctx, text)
	failed := err != nil
	if !failed {
		if err = a.exec(ctx, "RELEASE SAVEPOINT "+savepoint); err == nil {
			return nil
		}
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if a.exec(undo, "ROLLBACK TO SAVEPOINT "+savepoint) == nil {
		return err
	}
	// An error of SQLite may have ended the transaction. That of PostgreSQL does not.
	a.rollback(undo)
	a.ended = a.live(undo) && (!failed || a.engine == postgreSQL)
	return err
}

// settle finds out what has become of a file, by its row, after err. It waits
// for a transaction that is still under way.
func (m Migrations) settle(ctx context.Context, a *fileRun, err error) error {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var got row
	look := m.session(late, func(s *session) error {
		_, err := s.within(late, func() (bool, error) {
			added, err := s.add(late, a.migration, a.checksum, stateHalf, a.task.Run.ID)
			if err != nil {
				return false, err
			}
			if a.ended && !added {
				_, err = s.set(late, a.migration, "state = '"+stateHalf+"'", "state = '"+statePartly+"'")
			}
			if err == nil && (a.ended || !added) {
				got, err = s.row(late, a.name)
			}
			return a.ended, err
		})
		return err
	})
	switch {
	case look != nil:
		return errors.Join(err, fmt.Errorf("looking for what became of %s: %w", a.name, look))
	case got.state == stateHalf:
		return errors.Join(halfApplied(a.name), err)
	case got.state == stateApplied: // by somebody else, or before err came
		return a.matches(got)
	case err == nil:
		return fmt.Errorf("step: table %s does not say that it is applied", migrationTable)
	}
	return err
}

// setForeignKeys does what the file asks for by PRAGMA foreign_keys, which is
// void in a transaction, before it begins: it lifts them for the whole file if
// the file lifts them anywhere. It tells whether to look for violations.
func (a *fileRun) setForeignKeys(ctx context.Context) (lifted bool, err error) {
	if len(a.foreignKeys) == 0 {
		return false, nil
	}
	var on bool
	query := func() error { return a.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&on) }
	if err := query(); err != nil {
		return false, err
	}
	a.back = append(a.back, fmt.Sprintf("PRAGMA foreign_keys = %t", on))
	for _, text := range a.foreignKeys {
		if err := errors.Join(a.exec(ctx, text), query()); err != nil {
			return false, err
		}
		lifted = lifted || !on
	}
	return lifted, a.exec(ctx, fmt.Sprintf("PRAGMA foreign_keys = %t", !lifted))
}

// violations counts rows without their parent, by their table and the
// parent's: a rebuild may number them anew.
func (a *fileRun) violations(ctx context.Context) (map[[2]string]int, error) {
	rows, err := a.QueryContext(ctx, `SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[[2]string]int{}
	for rows.Next() {
		var tables [2]string
		var n int
		if err := rows.Scan(&tables[0], &tables[1], &n); err != nil {
			return nil, err
		}
		all[tables] = n
	}
	return all, rows.Err()
}

// compare refuses violations that were not there before.
func (a *fileRun) compare(ctx context.Context, before map[[2]string]int) error {
	after, err := a.violations(ctx)
	if err != nil {
		return fmt.Errorf("PRAGMA foreign_key_check: %w", err)
	}
	renamed := 0 // rows of tables that may have another name now
	for tables, n := range before {
		if after[tables] == 0 {
			renamed += n
		}
	}
	for tables, n := range after {
		if before[tables] == 0 && n <= renamed {
			renamed -= n
		} else if n > before[tables] {
			return fmt.Errorf("step: PRAGMA foreign_key_check finds %d rows of table %q, %d before the file, without their row in %q",
				n, tables[0], before[tables], tables[1])
		}
	}
	return nil
}

// rows returns the row of every file by its name.
func (s *session) rows(ctx context.Context, makeTable bool) (map[string]row, error) {
	all := map[string]row{}
	if s.table == "" {
		if !makeTable {
			return all, nil
		}
		if err := s.makeTable(ctx); err != nil {
			return nil, err
		}
	}
	rows, err := s.QueryContext(ctx, "SELECT name, checksum, state, done FROM "+s.table)
	if err != nil {
		return nil, fmt.Errorf("reading table %s: %w", migrationTable, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var r row
		if err := rows.Scan(&name, &r.checksum, &r.state, &r.done); err != nil {
			return nil, err
		}
		all[name] = r
	}
	return all, rows.Err()
}

// row is what is recorded of a file.
type row struct {
	checksum, state string
	done            int // statements, if it is applied partly
}

// pending returns the files, which are sorted, that are not applied.
func pending(files []migration, rows map[string]row, r update.Release) ([]migration, error) {
	last := "" // the last one applied
	left := maps.Clone(rows)
	for _, f := range files {
		got, ok := rows[f.name]
		if !ok {
			continue
		}
		if err := f.matches(got); err != nil {
			return nil, err
		}
		last = f.name
		delete(left, f.name)
	}
	for name := range left {
		return nil, fmt.Errorf("step: the database has %s, which release %s lacks", name, r.Version)
	}
	for _, f := range files[:len(rows)] {
		if _, ok := rows[f.name]; !ok {
			return nil, fmt.Errorf("step: %s comes before %s, which is applied", f.name, last)
		}
		if rows[f.name].state != stateApplied && f.name != last {
			return nil, fmt.Errorf("step: %s is applied partly, and %s after it", f.name, last)
		}
	}
	if last != "" && rows[last].state != stateApplied {
		return files[len(rows)-1:], nil
	}
	return files[len(rows):], nil
}

// matches tells whether the file is the one that is recorded.
func (f migration) matches(got row) error {
	switch {
	case got.state == stateHalf:
		return halfApplied(f.name)
	case got.state == stateApplied && got.checksum != f.checksum:
		return fmt.Errorf("step: %s was changed after it was applied", f.name)
	case got.state == statePartly && (!f.apart || got.done > len(f.parts) || got.checksum != f.sum(got.done)):
		return fmt.Errorf("step: %s was changed in what is applied of it, the first %d statements", f.name, got.done)
	}
	return nil
}

// row returns the row of a file, which is there.
func (s *session) row(ctx context.Context, name string) (r row, err error) {
	err = s.QueryRowContext(ctx, "SELECT checksum, state, done FROM "+s.table+" WHERE name = '"+name+"'").Scan(&r.checksum, &r.state, &r.done)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("step: its row in table %s is gone", migrationTable)
	}
	return r, err
}
