package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// tx is a transaction or a savepoint, for the length of one call.
type tx struct {
	ctx    context.Context // sqlstore.Tx has none: it lives for one call
	pg     pgx.Tx
	failed error // the first statement's error: the server has given the transaction up
}

var _ sqlstore.Tx = (*tx)(nil)

// run calls f. A panic is its error, and so is a statement's that f ignored.
func (t *tx) run(f func(sqlstore.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("postgres: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	return translate(t.failed)
}

func (t *tx) Exec(query string, args ...any) (int64, error) {
	if len(args) == 0 {
		// Only the simple protocol takes several statements at once.
		args = []any{pgx.QueryExecModeSimpleProtocol}
	}
	tag, err := t.pg.Exec(t.ctx, numbered(query), args...)
	return tag.RowsAffected(), t.note(err)
}

func (t *tx) Row(query string, args []any, dest ...any) error {
	return t.note(t.pg.QueryRow(t.ctx, numbered(query), args...).Scan(dest...))
}

func (t *tx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	rows, err := t.pg.Query(t.ctx, numbered(query), args...)
	if err != nil {
		return t.note(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return t.note(rows.Err())
}

// note remembers what made the server give the transaction up.
func (t *tx) note(err error) error {
	if err != nil && err != pgx.ErrNoRows && t.failed == nil {
		t.failed = err
	}
	return translate(err)
}

// numbered writes parameters as PostgreSQL does. The statements of sqlstore
// have no other question marks.
func numbered(query string) string { return strings.ReplaceAll(query, "?", "$") }
