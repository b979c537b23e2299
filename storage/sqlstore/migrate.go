package sqlstore

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

//go:embed migrations
var embedded embed.FS

// Migrations returns the migrations of this library: a folder for each domain,
// and in it files that are numbered from 0001 without a gap, forward only and
// never edited after a release, such as lv/0001_versions.sql. Each runs once,
// in a transaction of its own.
//
// They are for every dialect: in braces stand {int}, {bytes}, and what a table
// ends with: {end}, or {keyed} if its rows lie in the order of its primary key.
//
// A line "-- oldest: 0001" says which migrations of its domain a program must
// know so that it may go on with the tables after this one. Where a migration
// only adds (a table, an index that is not unique, a column that may be NULL or
// has a default) that is what it was before: the statements of this package
// name their columns. Otherwise it is the migration itself.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}

// migration is one file of SQL: 0001_journal.sql.
type migration struct {
	name, script, checksum string
	oldest                 int64
}

var (
	numbered   = regexp.MustCompile(`^\d{4}_\w+\.sql$`)
	oldestLine = regexp.MustCompile(`(?m)^-- oldest: (\d{1,4})$`)
)

// readMigrations reads the files of a domain.
func readMigrations(files fs.FS, domain string, d Dialect) ([]migration, error) {
	entries, err := fs.ReadDir(files, domain)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	var migrations []migration
	for i, entry := range entries {
		name := entry.Name()
		if !numbered.MatchString(name) || name[:4] != fmt.Sprintf("%04d", i+1) {
			return nil, fmt.Errorf("sqlstore: migration %q of %s should be number %04d", name, domain, i+1)
		}
		script, err := fs.ReadFile(files, domain+"/"+name)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: migrations: %w", err)
		}
		m := migration{name: name, script: d.typed(string(script))}
		lines := oldestLine.FindAllSubmatch(script, -1)
		if len(lines) == 1 {
			m.oldest, _ = strconv.ParseInt(string(lines[0][1]), 10, 64)
		}
		if m.oldest < 1 || m.oldest > int64(i+1) {
			return nil, fmt.Errorf("sqlstore: migration %q of %s needs one line \"-- oldest: \" with a number from 0001 to %04d",
				name, domain, i+1)
		}
		sum := sha256.Sum256(script)
		m.checksum = hex.EncodeToString(sum[:])
		migrations = append(migrations, m)
	}
	return migrations, nil
}

// typed writes an engine's types into SQL.
func (d Dialect) typed(script string) string {
	return strings.NewReplacer("{int}", d.Int, "{bytes}", d.Bytes, "{end}", d.End, "{keyed}", d.Keyed).Replace(script)
}

// What has been done, a row for each migration.
const (
	schemaTable = `
CREATE TABLE IF NOT EXISTS upkeep_schema (
	domain     TEXT  NOT NULL,
	version    {int} NOT NULL,
	name       TEXT  NOT NULL,
	checksum   TEXT  NOT NULL,
	oldest     {int} NOT NULL, -- migration that a program must know to go on
	applied_ms {int} NOT NULL, -- Unix milliseconds
	PRIMARY KEY (domain, version)
) {keyed}`

	schemaRead = `
SELECT version, name, checksum, oldest FROM upkeep_schema WHERE domain = ?1 ORDER BY version`

	schemaInsert = `
INSERT INTO upkeep_schema (domain, version, name, checksum, oldest, applied_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
)

// verify returns how many of the migrations the tables have. It returns
// storage.ErrForeign for tables that other files made, and storage.ErrNewer
// for tables of a newer library that this one does not know enough of.
func verify(tx Tx, domain string, migrations []migration) (applied int, err error) {
	known := int64(len(migrations))
	err = tx.Query(schemaRead, []any{domain}, func(scan func(...any) error) error {
		var version, oldest int64
		var name, checksum string
		if err := scan(&version, &name, &checksum, &oldest); err != nil {
			return err
		}
		applied++
		switch {
		case version != int64(applied) && (version <= known || int64(applied) <= known):
			return fmt.Errorf("%w: %s lacks migration %04d and has %q", storage.ErrForeign, domain, applied, name)
		case version > known && oldest > known:
			return fmt.Errorf("%w: %s has migration %q, for programs that know %04d; this one knows %04d and older",
				storage.ErrNewer, domain, name, oldest, known)
		case version <= known && checksum != migrations[version-1].checksum:
			return fmt.Errorf("%w: %s has a migration %q that is not %q as it is here",
				storage.ErrForeign, domain, name, migrations[version-1].name)
		}
		return nil
	})
	return min(applied, len(migrations)), err
}

func apply(tx Tx, domain string, version int, m migration) error {
	if err := tx.Exec(m.script); err != nil {
		return fmt.Errorf("applying %s: %w", m.name, err)
	}
	return tx.Exec(schemaInsert, domain, int64(version), m.name, m.checksum, m.oldest, time.Now().UnixMilli())
}
