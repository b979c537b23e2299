package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// maxWaiting bounds the statements that wait to be sent, and with them memory.
const maxWaiting = 256

// tx is a transaction or a savepoint, for the length of one call. What Exec is
// given waits until somebody has to know: the statements of a write then take
// one journey to the server instead of one each, and whoever holds the lock of
// all writers has done sooner.
type tx struct {
	ctx     context.Context // sqlstore.Tx has none: it lives for one call
	pg      pgx.Tx
	how     protocol
	waiting pgx.Batch
}

var _ sqlstore.Tx = (*tx)(nil)

// run calls f. A panic is its error.
func (t *tx) run(f func(sqlstore.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("postgres: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	return t.send()
}

func (t *tx) Exec(query string, args ...any) error {
	if !t.how.batches || strings.Contains(query, ";") { // which only scripts have
		if err := t.send(); err != nil {
			return err
		}
		// Without arguments the driver uses the simple protocol, which takes
		// several statements.
		_, err := t.pg.Exec(t.ctx, numbered(query), in(t.how.mode, args)...)
		return translate(err)
	}
	t.waiting.Queue(numbered(query), args...)
	if t.waiting.Len() < maxWaiting {
		return nil
	}
	return t.send()
}

// send sends what waits, and returns the error of the first that fails.
func (t *tx) send() error {
	if t.waiting.Len() == 0 {
		return nil
	}
	batch := t.waiting
	t.waiting = pgx.Batch{}
	return translate(t.pg.SendBatch(t.ctx, &batch).Close())
}

// Row is sent together with what waits.
func (t *tx) Row(query string, args []any, dest ...any) error {
	if t.waiting.Len() == 0 {
		return translate(t.pg.QueryRow(t.ctx, numbered(query), in(t.how.mode, args)...).Scan(dest...))
	}
	t.waiting.Queue(numbered(query), args...).QueryRow(func(row pgx.Row) error { return row.Scan(dest...) })
	return t.send()
}

func (t *tx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	if err := t.send(); err != nil {
		return err
	}
	rows, err := t.pg.Query(t.ctx, numbered(query), in(t.how.mode, args)...)
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

// protocol is how statements are sent.
type protocol struct {
	mode    pgx.QueryExecMode
	batches bool // batches are sent so too: the driver lets nobody choose
}

// protocolOf returns how to send statements on connections of this kind. The
// simple protocol does not say of what type a parameter is; exec does, and
// suits the same poolers.
func protocolOf(c *pgx.ConnConfig) protocol {
	if c.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return protocol{mode: pgx.QueryExecModeExec}
	}
	return protocol{mode: c.DefaultQueryExecMode, batches: true}
}

// in tells the driver the mode, as it wants it: before the arguments.
func in(mode pgx.QueryExecMode, args []any) []any { return append([]any{mode}, args...) }
