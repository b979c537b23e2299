package step

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// engine is a kind of database that MigrateSQL knows.
type engine int

const (
	_ engine = iota
	sqliteEngine
	postgreSQL
)

// session is a connection that is thrown away afterwards, so that nothing that
// a file sets for its session reaches the application or the next file.
type session struct {
	*sql.Conn
	engine engine
	table  string // migrationTable, whatever the search path is by now; "" where there is none yet
	memory bool   // the database is its connection, and would be thrown away with it
	used   bool   // a file has run

	resets []string // what makes record work after whatever a file has set
	back   []string // what sets a connection in memory back
}

// cleanupTime bounds what is done after the context has ended.
const cleanupTime = 10 * time.Second

// session calls f with a session of its own.
func (m Migrations) session(ctx context.Context, f func(*session) error) error {
	c, err := m.DB.Conn(ctx)
	if err != nil {
		return err
	}
	s := &session{Conn: c}
	defer s.discard(ctx)
	if err := s.open(ctx); err != nil {
		return err
	}
	return f(s)
}

// open finds out what database it is. PostgreSQL is asked first: it writes a
// statement that it does not know to its log.
func (s *session) open(ctx context.Context) error {
	var version string
	err := s.QueryRowContext(ctx, "SELECT version()").Scan(&version)
	switch {
	case err == nil && strings.HasPrefix(version, "PostgreSQL "):
		s.engine = postgreSQL
		return s.openPostgreSQL(ctx)
	case err == nil:
		return fmt.Errorf("step: MigrateSQL knows SQLite and PostgreSQL, and not %q: %w", version, errors.ErrUnsupported)
	}
	// Whatever else is asked, SQLite may be too busy to say.
	var usual int // milliseconds
	if other := s.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&usual); other != nil {
		return fmt.Errorf("asking the database what it is: %w", errors.Join(err, other))
	}
	s.engine = sqliteEngine
	return s.openSQLite(ctx, usual)
}

func (s *session) openSQLite(ctx context.Context, usual int) error {
	if err := s.patience(ctx, lockPatience); err != nil {
		return err
	}
	var file sql.NullString
	err := s.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	if err != nil {
		return fmt.Errorf("asking for the database's file: %w", err)
	}
	if s.memory = file.String == ""; s.memory {
		s.back = append(s.back, fmt.Sprintf("PRAGMA busy_timeout = %d", usual))
	}
	s.resets = []string{"PRAGMA query_only = 0"}
	return s.find(ctx)
}

// lockPatience is how long a statement of SQLite waits for others, deaf to
// the end of its context.
const lockPatience = 10 * time.Second

// patience sets how long statements wait for others.
func (s *session) patience(ctx context.Context, d time.Duration) error {
	return s.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds()))
}

func (s *session) openPostgreSQL(ctx context.Context) error {
	var user, role string
	err := s.QueryRowContext(ctx, "SELECT session_user, current_setting('role')").Scan(&user, &role)
	if err != nil {
		return err
	}
	for _, p := range [][2]string{{"statement_timeout", "0"}, {"session_authorization", user}, {"role", role}} {
		s.resets = append(s.resets, fmt.Sprintf("SELECT pg_catalog.set_config('%s', '%s', true)", p[0], strings.ReplaceAll(p[1], "'", "''")))
	}
	return s.find(ctx)
}

// find looks for the table of migrations.
func (s *session) find(ctx context.Context) error {
	query := "SELECT 'main." + migrationTable + "' FROM main.sqlite_schema WHERE type = 'table' AND name = '" + migrationTable + "'"
	if s.engine == postgreSQL {
		query = `SELECT pg_catalog.quote_ident(n.nspname) || '.` + migrationTable + `' FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass('` + migrationTable + `')`
	}
	err := s.QueryRowContext(ctx, query).Scan(&s.table)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("looking for table %s: %w", migrationTable, err)
	}
	return nil
}

// makeTable makes the table of migrations where there is none. Somebody else
// may do so at the same time.
func (s *session) makeTable(ctx context.Context) error {
	if s.table != "" {
		return nil
	}
	_, err := s.within(ctx, func() (bool, error) {
		return true, s.exec(ctx, "CREATE TABLE IF NOT EXISTS "+migrationTable+
			" (name VARCHAR(255) NOT NULL PRIMARY KEY, checksum CHAR(64) NOT NULL, applied_ms BIGINT NOT NULL,"+
			" run VARCHAR(255) NOT NULL, state VARCHAR(16) NOT NULL, done BIGINT NOT NULL)")
	})
	if found := s.find(ctx); s.table == "" {
		return fmt.Errorf("making table %s: %w", migrationTable, errors.Join(err, found))
	}
	return nil
}

func (s *session) exec(ctx context.Context, text string) error {
	_, err := s.ExecContext(ctx, text)
	return err
}

// within calls f in a transaction, and commits if it says so.
func (s *session) within(ctx context.Context, f func() (commit bool, err error)) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	commit, err := f()
	if err == nil && commit {
		if err = s.exec(ctx, "COMMIT"); err == nil {
			return true, nil
		}
	}
	s.rollback(ctx)
	return false, err
}

// quickTries is how often in a row SQLite may refuse to write at once.
const quickTries = int(3 * time.Second / signInterval)

// begin begins a transaction that writes. In SQLite it waits for other
// writers as long as ctx allows: SQLite says a second later that there are any.
// What it says at once, such as that the database is read-only, may pass within
// three seconds, as locks of a cache that is shared do, or does not pass.
func (s *session) begin(ctx context.Context) error {
	if s.engine == postgreSQL {
		return s.exec(ctx, "BEGIN")
	}
	if err := s.patience(ctx, time.Second); err != nil {
		return err
	}
	for quick := 0; ; {
		start := time.Now()
		err := s.exec(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			return s.patience(ctx, lockPatience)
		}
		if quick++; time.Since(start) > time.Second/2 {
			quick = 0
		}
		if quick == quickTries || pause.For(ctx, signInterval) != nil {
			return err
		}
	}
}

func (s *session) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	_ = s.exec(ctx, "ROLLBACK") // there may be none
}

// live tells whether the connection still works.
func (s *session) live(ctx context.Context) bool {
	var one int
	return s.QueryRowContext(ctx, "SELECT 1").Scan(&one) == nil
}

// discard ends the connection. That of PostgreSQL is ended there: behind the
// driver may be another pool, which would go on using it.
func (s *session) discard(ctx context.Context) {
	defer s.Close()
	s.rollback(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	switch {
	case s.memory:
		for _, text := range s.back {
			_ = s.exec(ctx, text)
		}
		return
	case s.used && s.engine == postgreSQL:
		_ = s.exec(ctx, "RESET SESSION AUTHORIZATION")
		_ = s.exec(ctx, "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())")
	}
	_ = s.Raw(func(any) error { return driver.ErrBadConn })
}

// set changes the row of a file, whatever the file has set for its session,
// and tells whether where has found it. It needs a transaction.
func (s *session) set(ctx context.Context, f migration, values, where string) (bool, error) {
	for _, text := range s.resets {
		if err := s.exec(ctx, text); err != nil {
			return false, err
		}
	}
	return s.changed(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE name = '%s' AND %s", s.table, values, f.name, where))
}

// add makes the row of a file, unless there is one. None of the values can
// hold a quote; placeholders differ between databases.
func (s *session) add(ctx context.Context, f migration, checksum, state, run string) (bool, error) {
	return s.changed(ctx, fmt.Sprintf("INSERT INTO %s (name, checksum, applied_ms, run, state, done)"+
		" VALUES ('%s', '%s', %d, '%s', '%s', 0) ON CONFLICT (name) DO NOTHING",
		s.table, f.name, checksum, time.Now().UnixMilli(), run, state))
}

func (s *session) changed(ctx context.Context, text string) (bool, error) {
	result, err := s.ExecContext(ctx, text)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
