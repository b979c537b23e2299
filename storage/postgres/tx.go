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
	ctx  context.Context // sqlstore.Tx has none: it lives for one call
	pg   pgx.Tx
	mode pgx.QueryExecMode
}

var _ sqlstore.Tx = (*tx)(nil)

// run calls f. A panic is its error.
func (t *tx) run(f func(sqlstore.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("postgres: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return f(t)
}

// Exec uses the simple protocol if there are no arguments, as the driver
// does then: it takes several statements.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	tag, err := t.pg.Exec(t.ctx, numbered(query), in(t.mode, args)...)
	return tag.RowsAffected(), translate(err)
}

func (t *tx) Row(query string, args []any, dest ...any) error {
	return translate(t.pg.QueryRow(t.ctx, numbered(query), in(t.mode, args)...).Scan(dest...))
}

func (t *tx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	rows, err := t.pg.Query(t.ctx, numbered(query), in(t.mode, args)...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// numbered writes parameters as PostgreSQL does. The statements of sqlstore
// have no other question marks.
func numbered(query string) string { return strings.ReplaceAll(query, "?", "$") }

// modeOf returns how to send statements on connections of this kind. The
// simple protocol does not say of what type a parameter is; exec does, and
// suits the same poolers.
func modeOf(c *pgx.ConnConfig) pgx.QueryExecMode {
	if c.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return pgx.QueryExecModeExec
	}
	return c.DefaultQueryExecMode
}

// in tells the driver the mode, as it wants it: before the arguments.
func in(mode pgx.QueryExecMode, args []any) []any { return append([]any{mode}, args...) }
