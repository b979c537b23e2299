package step

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

const (
	migrationTable = "upkeep_step_migration"
	maxMigration   = 64 << 20 // bytes of one file
)

// Migrations says what to migrate, and how to go back.
type Migrations struct {
	DB *sql.DB // required
	// Files is required: the files of a release are all migrations that led
	// to it, those of earlier releases included.
	Files Tree
	// Backup saves the database before the first file is run, and puts it back
	// when the step is undone. Default: no Undo; then what the files of a
	// release that was rolled back did stays, and the release before it must
	// live with that.
	Backup Backup
}

// MigrateSQL runs the SQL files of a release, 0001_name.sql and so on, that
// the database has not seen yet, in the order of their numbers. Other files
// than .sql are left alone.
//
// Each file is run in one transaction together with its row in table
// upkeep_step_migration (name, checksum, applied_ms: Unix milliseconds, run:
// the ID of the run), so that after a crash it is there whole or not at all,
// in databases where schema changes are part of a transaction, such as SQLite
// and PostgreSQL. The driver must take several statements in one Exec. A file
// has no BEGIN or COMMIT of its own, is at most 64 MiB, and must be done
// within Config.LockTTL, since it gives no sign of progress.
//
// Do refuses what cannot be meant: a file that was changed after it was
// applied (line ends aside), one that comes before an applied one, and a
// database with a migration that the release does not have. Check does too.
//
// Probe tells whether all files are recorded. Undo is by Backup: if this run
// applied a file, the whole database becomes what it was before, rows that
// others wrote since included; those are in the copy that [SQLite] makes
// before. Undo refuses to go back past a migration that was applied later.
func MigrateSQL(m Migrations) update.Step {
	s := update.Step{Name: "migrate", Check: m.check, Do: m.do, Probe: m.probe}
	if m.Backup != nil {
		s.Undo = m.undo
	}
	return s
}

// migration is one file.
type migration struct {
	name, checksum string
	sql            string
}

// migrated is what the step keeps: written before its first effect.
type migrated struct {
	Pending []string // the files this run is to apply
	Copy    string   // the name of Backup's copy
}

func (m Migrations) check(ctx context.Context, t *update.Task) error {
	if m.DB == nil || m.Files == nil {
		return errors.New("step: Migrations needs a DB and Files")
	}
	files, err := m.read(t.Release)
	if err != nil {
		return err
	}
	if err := m.DB.PingContext(ctx); err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	// An error here is taken for a table that Do has yet to make.
	if applied, err := m.applied(ctx); err == nil {
		if _, err := pending(files, applied, t.Release); err != nil {
			return err
		}
	}
	if m.Backup != nil {
		return m.Backup.Check(ctx)
	}
	return nil
}

func (m Migrations) do(ctx context.Context, t *update.Task) error {
	todo, err := m.todo(ctx, t.Release)
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
		if err := m.apply(ctx, f, t.Run.ID); err != nil {
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
	todo, err := m.todo(ctx, t.Release)
	switch {
	case err != nil:
		return update.AppliedUnknown, err
	case len(todo) == 0:
		return update.AppliedYes, nil
	case len(todo) >= len(d.Pending):
		return update.AppliedNo, nil
	}
	return update.AppliedUnknown, nil // Do goes on where it stopped, Undo restores
}

func (m Migrations) undo(ctx context.Context, t *update.Task) error {
	var d migrated
	if err := t.Load(&d); err != nil || len(d.Pending) == 0 {
		return err
	}
	if err := m.makeTable(ctx); err != nil {
		return err // an older copy, put back by now, may lack it
	}
	applied, err := m.applied(ctx)
	if err != nil {
		return err
	}
	if _, ok := applied[d.Pending[0]]; !ok {
		return nil // nothing was done, or all of it is undone
	}
	last := d.Pending[len(d.Pending)-1]
	for name := range applied {
		if name > last {
			return fmt.Errorf("step: %s was applied after %s and would be lost", name, last)
		}
	}
	return m.Backup.Restore(ctx, t, d.Copy)
}

// todo returns the files of a release that are yet to be applied.
func (m Migrations) todo(ctx context.Context, r update.Release) ([]migration, error) {
	files, err := m.read(r)
	if err != nil {
		return nil, err
	}
	if err := m.makeTable(ctx); err != nil {
		return nil, err
	}
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	return pending(files, applied, r)
}

func (m Migrations) makeTable(ctx context.Context) error {
	_, err := m.DB.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+migrationTable+
		" (name VARCHAR(255) NOT NULL PRIMARY KEY, checksum CHAR(64) NOT NULL, applied_ms BIGINT NOT NULL, run VARCHAR(255) NOT NULL)")
	if err != nil {
		return fmt.Errorf("making table %s: %w", migrationTable, err)
	}
	return nil
}

// applied returns the checksum of every recorded file by its name.
func (m Migrations) applied(ctx context.Context) (map[string]string, error) {
	rows, err := m.DB.QueryContext(ctx, "SELECT name, checksum FROM "+migrationTable)
	if err != nil {
		return nil, fmt.Errorf("reading table %s: %w", migrationTable, err)
	}
	defer rows.Close()
	applied := map[string]string{}
	for rows.Next() {
		var name, checksum string
		if err := rows.Scan(&name, &checksum); err != nil {
			return nil, err
		}
		applied[name] = checksum
	}
	return applied, rows.Err()
}

// pending returns the files, which are sorted, that are not applied.
func pending(files []migration, applied map[string]string, r update.Release) ([]migration, error) {
	last := "" // the last one applied
	left := maps.Clone(applied)
	for _, f := range files {
		if checksum, ok := applied[f.name]; ok {
			if checksum != f.checksum {
				return nil, fmt.Errorf("step: %s was changed after it was applied", f.name)
			}
			last = f.name
			delete(left, f.name)
		}
	}
	for name := range left {
		return nil, fmt.Errorf("step: the database has %s, which release %s lacks", name, r.Version)
	}
	for _, f := range files[:len(applied)] {
		if _, ok := applied[f.name]; !ok {
			return nil, fmt.Errorf("step: %s comes before %s, which is applied", f.name, last)
		}
	}
	return files[len(applied):], nil
}

// apply runs a file and records it. The row comes first: it makes the
// transaction a writing one at once, which SQLite can then wait for. None of
// the values can hold a quote; placeholders differ between databases.
func (m Migrations) apply(ctx context.Context, f migration, run string) error {
	tx, err := m.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	row := fmt.Sprintf("INSERT INTO %s (name, checksum, applied_ms, run) VALUES ('%s', '%s', %d, '%s')",
		migrationTable, f.name, f.checksum, time.Now().UnixMilli(), run)
	for _, text := range []string{row, f.sql} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}

var (
	migrationName = regexp.MustCompile(`^\d{4}_[A-Za-z0-9_-]{1,200}\.sql$`)
	transaction   = regexp.MustCompile(`(?im)^\s*(begin(\s+(deferred|immediate|exclusive|transaction|work))*|start\s+transaction|(commit|rollback|end)\s+(transaction|work)|commit|rollback)\s*;`)
)

// read returns the files of a release in order.
func (m Migrations) read(r update.Release) ([]migration, error) {
	tree, err := m.Files(r)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(tree, ".") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	var files []migration
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".sql") {
			continue
		}
		if !migrationName.MatchString(name) {
			return nil, fmt.Errorf("step: %q is not named like 0001_name.sql", name)
		}
		if n := len(files); n > 0 && files[n-1].name[:4] == name[:4] {
			return nil, fmt.Errorf("step: %s and %s have the same number", files[n-1].name, name)
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, fmt.Errorf("reading migrations: %w", err)
		}
		if len(data) > maxMigration {
			return nil, fmt.Errorf("step: %s has %d bytes, at most %d are allowed", name, len(data), maxMigration)
		}
		if found := transaction.Find(data); found != nil {
			return nil, fmt.Errorf("step: %s has %q of its own", name, bytes.TrimSpace(found))
		}
		sum := sha256.Sum256(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))
		files = append(files, migration{name, hex.EncodeToString(sum[:]), string(data)})
	}
	return files, nil
}
