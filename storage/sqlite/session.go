package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// session is a connection of the driver, used without database/sql, which
// costs as much again as a small write. One goroutine uses it at a time.
//
// A write never gets the context of a caller: to interrupt it ends the whole
// transaction, and with it the work of others.
type session struct {
	path  string // for errors
	conn  driver.Conn
	ctx   context.Context // of the statements: the background but in a snapshot
	stmts map[string]statement
	args  []driver.NamedValue // reused
	row   []driver.Value      // reused
}

var _ sqlstore.Tx = (*session)(nil)

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newSession(path string, conn driver.Conn) *session {
	return &session{path: path, conn: conn, ctx: context.Background(), stmts: map[string]statement{}}
}

// within runs f with statements that end with a context.
func (s *session) within(ctx context.Context, f func() error) error {
	s.ctx = ctx
	defer func() { s.ctx = context.Background() }()
	return f()
}

// Exec runs a statement, or a script if it has no arguments.
func (s *session) Exec(query string, args ...any) error {
	if len(args) == 0 {
		exec, ok := s.conn.(driver.ExecerContext)
		if !ok {
			return fmt.Errorf("sqlite: %T cannot execute", s.conn)
		}
		_, err := exec.ExecContext(s.ctx, query, nil)
		return translate(s.path, err)
	}
	return s.run(query, args...)
}

// run executes a statement that is prepared once, also without arguments.
func (s *session) run(query string, args ...any) error {
	stmt, err := s.prepared(query)
	if err == nil {
		_, err = stmt.ExecContext(s.ctx, s.named(args))
	}
	return translate(s.path, err)
}

// Row reads the first row.
func (s *session) Row(query string, args []any, dest ...any) error {
	rows, err := s.query(query, args)
	if err != nil {
		return err
	}
	err = s.next(rows, dest)
	if errors.Is(err, io.EOF) {
		err = sql.ErrNoRows
	}
	return s.close(rows, err)
}

// Query calls each for every row.
func (s *session) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	rows, err := s.query(query, args)
	if err != nil {
		return err
	}
	values := make([]driver.Value, len(rows.Columns()))
	scan := func(dest ...any) error { return assign(dest, values) }
	for err == nil {
		if err = rows.Next(values); err == nil {
			err = each(scan)
		}
		if err == nil {
			err = s.ctx.Err() // the driver looks at it for the first row only
		}
	}
	if err == io.EOF {
		err = nil
	}
	return s.close(rows, err)
}

func (s *session) query(query string, args []any) (driver.Rows, error) {
	stmt, err := s.prepared(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(s.ctx, s.named(args))
	return rows, translate(s.path, err)
}

func (s *session) next(rows driver.Rows, dest []any) error {
	if n := len(rows.Columns()); cap(s.row) < n {
		s.row = make([]driver.Value, n)
	} else {
		s.row = s.row[:n]
	}
	if err := rows.Next(s.row); err != nil {
		return err
	}
	return assign(dest, s.row)
}

func (s *session) close(rows driver.Rows, err error) error {
	if e := rows.Close(); err == nil {
		err = e
	}
	return translate(s.path, err)
}

func (s *session) prepared(query string) (statement, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	prepared, err := s.conn.Prepare(query)
	if err != nil {
		return nil, translate(s.path, err)
	}
	stmt, ok := prepared.(statement)
	if !ok {
		return nil, fmt.Errorf("sqlite: %T is not a statement of this driver", prepared)
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *session) named(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// forget closes the prepared statements, not the connection.
func (s *session) forget() error {
	var errs []error
	for _, stmt := range s.stmts {
		errs = append(errs, stmt.Close())
	}
	clear(s.stmts)
	return errors.Join(errs...)
}

// Close closes the connection.
func (s *session) Close() error {
	return translate(s.path, errors.Join(s.forget(), s.conn.Close()))
}

// assign copies a row into what sqlstore.Tx allows as destinations.
func assign(dest []any, row []driver.Value) error {
	if len(dest) != len(row) {
		return fmt.Errorf("sqlite: %d destinations for %d columns", len(dest), len(row))
	}
	for i, value := range row {
		ok := false
		switch d := dest[i].(type) {
		case *int64:
			*d, ok = value.(int64)
		case *string:
			*d, ok = value.(string)
		case *[]byte:
			*d, ok = value.([]byte)
			ok = ok || value == nil
		}
		if !ok {
			return fmt.Errorf("sqlite: column %d is %T, the destination %T", i, value, dest[i])
		}
	}
	return nil
}
