package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// savepoints is the sqlstore.DB inside a transaction of the caller.
type savepoints struct {
	server *server
	outer  pgx.Tx
	how    protocol
	turn   chan struct{} // a pgx.Tx serves one call at a time
}

var _ sqlstore.DB = (*savepoints)(nil)

func newSavepoints(s *server, outer pgx.Tx) *savepoints {
	return &savepoints{server: s, outer: outer, how: protocolOf(outer.Conn().Config()), turn: make(chan struct{}, 1)}
}

func (s *savepoints) Dialect() sqlstore.Dialect { return dialect }

// Changed is not called: Watch is replaced.
func (s *savepoints) Changed(context.Context) <-chan struct{} { return nil }

func (s *savepoints) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	if err := s.server.calls.enter(); err != nil {
		return err
	}
	defer s.server.calls.leave()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("postgres: %w", context.Cause(ctx))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: %w", context.Cause(ctx))
	}
	// A statement that is interrupted costs the caller its connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.server.timeout)
	defer cancel()
	pg, err := s.outer.Begin(ctx)
	if err != nil {
		return translate(err)
	}
	t := &tx{ctx: ctx, pg: pg, how: s.how}
	if err := t.run(f); err != nil {
		if undo := pg.Rollback(ctx); undo != nil {
			err = fmt.Errorf("%w (and undoing it: %w)", err, undo)
		}
		return err
	}
	return translate(pg.Commit(ctx))
}

// Read has the snapshot that the caller's transaction has.
func (s *savepoints) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.Write(ctx, f)
}

func (s *savepoints) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return s.Read(ctx, func(tx sqlstore.Tx) error { return tx.Row(query, args, dest...) })
}
