//go:build unix

package step_test

import (
	"database/sql"
	"fmt"
)

// migrateState does what a newer library does that adds to the tables.
func migrateState(path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var version int
	err = db.QueryRow(`INSERT INTO upkeep_schema (domain, version, name, checksum, oldest, applied_ms)
		SELECT 'update', max(version) + 1, 'next.sql', '', max(oldest), 0 FROM upkeep_schema WHERE domain = 'update'
		RETURNING version`).Scan(&version)
	if err == nil {
		_, err = db.Exec(fmt.Sprintf("ALTER TABLE upkeep_update_run ADD COLUMN note_%d TEXT NOT NULL DEFAULT ''", version))
	}
	return err
}
