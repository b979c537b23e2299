package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// snapshotLife bounds a read transaction: while one is open the log of the
// database cannot be folded into its file.
const snapshotLife = 5 * time.Second

// engine is what the statements of sqlstore run on.
type engine struct {
	path   string
	lender lender
	writer *writer
	notice *notice
	close  func() error
	closed atomic.Bool // or about to be
}

var _ sqlstore.DB = (*engine)(nil)

// startEngine starts the writer and owns the lender.
func startEngine(path string, l lender, busy time.Duration, watch watcher) *engine {
	e := &engine{path: path, lender: l, notice: newNotice(watch)}
	e.writer = startWriter(l, busy, e.notice.tell)
	e.close = sync.OnceValue(func() error {
		e.closed.Store(true)
		e.writer.close()
		e.notice.close()
		return l.close()
	})
	return e
}

func (e *engine) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	return e.writer.write(ctx, f)
}

// Read runs f in a deferred transaction.
func (e *engine) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	err := e.lender.read(ctx, func(s *session) error { return snapshot(ctx, s, f) })
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func snapshot(ctx context.Context, s *session, f func(sqlstore.Tx) error) error {
	life, cancel := context.WithTimeoutCause(ctx, snapshotLife,
		fmt.Errorf("sqlite: a snapshot lives for %s: %w", snapshotLife, context.DeadlineExceeded))
	defer cancel()
	if err := s.run("BEGIN"); err != nil {
		return err
	}
	defer s.run("ROLLBACK")
	err := s.within(life, func() error { return f(s) })
	if err != nil && life.Err() != nil && !errors.Is(err, storage.ErrBusy) {
		return context.Cause(life)
	}
	return err
}

// Row reads without the context: one row is read before a context could end
// it, and watching for that costs as much as the reading.
func (e *engine) Row(ctx context.Context, query string, args []any, dest ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := e.lender.read(ctx, func(s *session) error { return s.Row(query, args, dest...) })
	if errors.Is(err, storage.ErrBusy) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (e *engine) Changed(ctx context.Context) <-chan struct{} { return e.notice.next(ctx) }

func (e *engine) Dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Int: "INTEGER", Bytes: "BLOB", End: "STRICT", Keyed: "STRICT, WITHOUT ROWID",
		Host: thisHost(), Feeds: e.lender.feeds(),
	}
}
