package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

// Valid SQL of both dialects, and so not STRICT.
const (
	schemaTable = `
CREATE TABLE IF NOT EXISTS upkeep_schema (
	version    BIGINT PRIMARY KEY,
	name       TEXT NOT NULL,
	checksum   TEXT NOT NULL,
	applied_ms BIGINT NOT NULL
)`
	schemaRead   = `SELECT version, name, checksum FROM upkeep_schema ORDER BY version`
	schemaInsert = `INSERT INTO upkeep_schema (version, name, checksum, applied_ms) VALUES (?1, ?2, ?3, ?4)`
)

// migration is one file of SQL: 0001_update.sql.
type migration struct {
	name, script, checksum string
}

// Migrate brings the schema up to date by the files of a folder: four digits,
// numbered from 0001 without a gap, forward only, never edited. Each runs in a
// write of its own, which the engine keeps apart from other processes'. It
// returns storage.ErrNewer for a schema with more migrations than there are
// files, and storage.ErrForeign for one that other files made.
func Migrate(ctx context.Context, write func(context.Context, func(Tx) error) error, files fs.FS) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return err
	}
	for done := false; !done; {
		err := write(ctx, func(tx Tx) error {
			applied, err := verify(tx, migrations)
			if err != nil {
				return err
			}
			if done = applied == len(migrations); done {
				return nil
			}
			return apply(tx, applied+1, migrations[applied])
		})
		if err != nil {
			return fmt.Errorf("migrating: %w", err)
		}
	}
	return nil
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	numbered := regexp.MustCompile(`^\d{4}_\w+\.sql$`)
	var migrations []migration
	for i, name := range names {
		if !numbered.MatchString(name) || name[:4] != fmt.Sprintf("%04d", i+1) {
			return nil, fmt.Errorf("sqlstore: migration %q should be number %04d", name, i+1)
		}
		script, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(script)
		migrations = append(migrations, migration{name, string(script), hex.EncodeToString(sum[:])})
	}
	return migrations, nil
}

// verify returns how many of the migrations the schema has.
func verify(tx Tx, migrations []migration) (int, error) {
	if err := tx.Exec(schemaTable); err != nil {
		return 0, err
	}
	applied := 0
	err := tx.Query(schemaRead, nil, func(scan func(...any) error) error {
		var version int64
		var name, checksum string
		if err := scan(&version, &name, &checksum); err != nil {
			return err
		}
		applied++
		if version > int64(len(migrations)) {
			return fmt.Errorf("%w: it has migration %q", storage.ErrNewer, name)
		}
		if version != int64(applied) || checksum != migrations[applied-1].checksum {
			return fmt.Errorf("%w: its migration %q is not %q as it is here", storage.ErrForeign, name, migrations[applied-1].name)
		}
		return nil
	})
	return applied, err
}

func apply(tx Tx, version int, m migration) error {
	if err := tx.Exec(m.script); err != nil {
		return fmt.Errorf("applying %s: %w", m.name, err)
	}
	return tx.Exec(schemaInsert, int64(version), m.name, m.checksum, time.Now().UnixMilli())
}
