package step

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// SQLite is the [Backup] of a SQLite database in a file, by any driver. It
// works while the database is in use.
//
// A statement that works on a whole file gives no sign of progress: the step
// counts as alive meanwhile, for a minute and a second for every 256 KiB, by a
// goroutine that it waits for.
type SQLite struct {
	DB *sql.DB // required
	// Dir is required: the folder for the copies. It is made (mode 0700) when
	// it is not there; copies have mode 0600.
	Dir string
	// Keep is how many copies of this database stay in Dir: of those made
	// before a run, and of those made before a Restore, the newest each. The
	// copy that was made before the last migration of [MigrateSQL] stays in
	// any case, since its Undo goes back to it. Default 3, at least 2.
	Keep int
}

var _ Backup = SQLite{}

// Check tells whether Save and Restore can work. A database that also holds
// state of Upkeep itself is refused: a Restore would take that back too.
func (s SQLite) Check(ctx context.Context) error {
	if err := s.checkSave(ctx); err != nil {
		return err
	}
	var n int
	err := s.DB.QueryRowContext(ctx, "SELECT count(*) FROM pragma_module_list WHERE name = 'sqlite_dbpage'").Scan(&n)
	if err != nil {
		return fmt.Errorf("asking for sqlite_dbpage: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("step: the SQLite driver is built without sqlite_dbpage and cannot restore: %w", errors.ErrUnsupported)
	}
	var name string
	err = s.DB.QueryRowContext(ctx, `SELECT name FROM sqlite_schema
		WHERE type = 'table' AND name GLOB 'upkeep_*' AND name != '`+migrationTable+`' LIMIT 1`).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for tables of upkeep: %w", err)
	}
	return fmt.Errorf("step: the database holds %q, so that a restore would take back the update itself; give one of them a file of its own", name)
}

// Save implements [Backup] by VACUUM INTO and an integrity check of the copy.
func (s SQLite) Save(ctx context.Context, t *update.Task) (string, error) {
	name, err := s.name(ctx, t)
	if err != nil {
		return "", err
	}
	if err := s.save(ctx, t, name); err != nil {
		return "", fmt.Errorf("saving the database to %q: %w", filepath.Join(s.Dir, name), err)
	}
	return name, s.sweep(ctx, strings.TrimSuffix(name, t.Run.ID+".db"), name)
}

// name is that of the copy for the run of t.
func (s SQLite) name(ctx context.Context, t *update.Task) (string, error) {
	prefix, err := s.prefix(ctx)
	return prefix + t.Run.ID + ".db", err
}

// save makes the copy called name, unless it is there.
func (s SQLite) save(ctx context.Context, t *update.Task, name string) error {
	if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil {
		return nil
	}
	return s.write(name, func(f *os.File) error {
		defer watchGrowth(f, t)()
		return s.with(ctx, func(c *sql.Conn) error {
			if err := vacuumInto(ctx, c, f.Name()); err != nil {
				return err
			}
			return checkCopy(ctx, t, c, f.Name())
		})
	})
}

// write makes a file in Dir, whole or not at all, of what fill puts into it.
func (s SQLite) write(name string, fill func(f *os.File) error) error {
	path, err := filepath.Abs(filepath.Join(s.Dir, name))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is left of it once it is renamed
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return durable.SyncDir(s.Dir)
}

// vacuumInto copies the database as it is. What the application asked of its
// connections for the next VACUUM is for VACUUM alone.
func vacuumInto(ctx context.Context, c *sql.Conn, path string) error {
	for _, name := range []string{"page_size", "auto_vacuum"} {
		var n int
		if err := c.QueryRowContext(ctx, "PRAGMA "+name).Scan(&n); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA %s = %d", name, n)); err != nil {
			return err
		}
	}
	_, err := c.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// checkCopy tells whether the database file at path is sound.
func checkCopy(ctx context.Context, t *update.Task, c *sql.Conn, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	defer vouch(t, "checking the copy", info.Size())()
	if _, err := c.ExecContext(ctx, "ATTACH ? AS upkeep_copy", path); err != nil {
		return err
	}
	var verdict string
	if err := c.QueryRowContext(ctx, "PRAGMA upkeep_copy.integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("step: integrity check of %q: %s", path, verdict)
	}
	_, err = c.ExecContext(ctx, "DETACH upkeep_copy")
	return err
}

// with calls f with a connection that is not used again, whatever state f
// leaves it in.
func (s SQLite) with(ctx context.Context, f func(*sql.Conn) error) error {
	c, err := s.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer c.Raw(func(any) error { return driver.ErrBadConn })
	// Others may be writing: how long to wait is not left to chance.
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 10000"); err != nil {
		return err
	}
	return f(c)
}

func (s SQLite) checkSave(ctx context.Context) error {
	if s.DB == nil || s.Dir == "" {
		return errors.New("step: SQLite needs a DB and a Dir")
	}
	if _, err := s.prefix(ctx); err != nil {
		return err
	}
	return checkMakable(s.Dir)
}

const tempPrefix = ".new-"

// prefix is how the names of this database's copies begin: they tell two
// databases of one name apart.
func (s SQLite) prefix(ctx context.Context) (string, error) {
	var file string
	err := s.DB.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	if err != nil {
		return "", fmt.Errorf("asking for the database's file: %w", err)
	}
	if file == "" {
		return "", fmt.Errorf("step: a database in memory cannot be backed up: %w", errors.ErrUnsupported)
	}
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	hash := sha256.Sum256([]byte(file))
	return fmt.Sprintf("%s-%x-", base, hash[:4]), nil
}
