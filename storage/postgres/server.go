package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// server is the sqlstore.DB over a pool of connections.
type server struct {
	pool    *pgxpool.Pool
	how     protocol
	timeout time.Duration // of one try, and of all the waiting for one
	hints   *hints
	calls   gate
	settles atomic.Bool            // whether new sessions are looked at
	origin  atomic.Pointer[string] // of the database, at the last look
}

var _ sqlstore.DB = (*server)(nil)

func (s *server) Dialect() sqlstore.Dialect {
	d := dialect
	d.Feeds = int(s.pool.Stat().MaxConns()) / 2
	return d
}

func (s *server) Changed(context.Context) <-chan struct{} { return s.hints.changed() }

func (s *server) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	err := s.repeat(ctx, func(ctx context.Context) (bool, error) {
		return s.transact(ctx, writing(s.timeout), f)
	})
	s.hints.wake() // after an error too: it may be there
	return err
}

func (s *server) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.repeat(ctx, func(ctx context.Context) (bool, error) {
		return s.transact(ctx, transaction{
			begin: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", limit: 5 * time.Second,
		}, f)
	})
}

func (s *server) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return s.repeat(ctx, func(ctx context.Context) (bool, error) {
		c, err := s.acquire(ctx)
		if err != nil {
			return passes(err, true), translate(err)
		}
		defer release(c)
		ctx, cancel := context.WithTimeout(ctx, s.patience())
		defer cancel()
		err = c.QueryRow(ctx, numbered(query), in(s.how.mode, args)...).Scan(dest...)
		return passes(err, c.Conn().IsClosed()), translate(err)
	})
}

// patience is how long to wait for what a server does at once, before another
// connection is tried: this one may have gone mute.
func (s *server) patience() time.Duration { return s.timeout / 4 }

// release gives a connection back. A broken one leaves the pool at once: the
// driver says goodbye for up to 15 seconds, and would keep its place.
func release(c *pgxpool.Conn) {
	if c.Conn().IsClosed() {
		c.Hijack()
	} else {
		c.Release()
	}
}

// repeat calls try until it succeeds, fails for good, or the time is up. Try
// says whether its error may pass; then it has left nothing behind.
func (s *server) repeat(ctx context.Context, try func(context.Context) (bool, error)) error {
	if err := s.calls.enter(); err != nil {
		return err
	}
	defer s.calls.leave()
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for n := 0; ; n++ {
		passing, err := try(limited)
		switch {
		case !passing:
			return err
		case pause(limited, backoff(n, 5*time.Millisecond, 250*time.Millisecond)):
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		default:
			return fmt.Errorf("%w: gave up after %v: %w", storage.ErrBusy, s.timeout, err)
		}
	}
}

// transaction is how one begins, how long it may take, and whether it is to be
// committed.
type transaction struct {
	begin  string
	limit  time.Duration
	writes bool
}

func writing(limit time.Duration) transaction {
	return transaction{begin: "BEGIN ISOLATION LEVEL READ COMMITTED", limit: limit, writes: true}
}

// transact runs f once. The context ends the wait for a connection and for the
// transaction to begin; then only the limit ends the work, so that the caller
// gets the true outcome. The first result says whether the error may pass.
func (s *server) transact(ctx context.Context, how transaction, f func(sqlstore.Tx) error) (bool, error) {
	c, err := s.acquire(ctx)
	if err != nil {
		return passes(err, true), translate(err)
	}
	defer release(c)
	return s.transactOn(ctx, c, how, f)
}

func (s *server) transactOn(ctx context.Context, c *pgxpool.Conn, how transaction, f func(sqlstore.Tx) error) (bool, error) {
	pg, err := how.start(ctx, c, s.patience())
	if err != nil {
		return passes(err, c.Conn().IsClosed()), translate(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), how.limit)
	defer cancel()
	t := &tx{ctx: ctx, pg: pg, how: s.how}
	if err := cmp.Or(t.run(f), ctx.Err()); err != nil || !how.writes {
		broken := c.Conn().IsClosed()
		pg.Rollback(ctx) // failing, it closes the connection: the same
		if err != nil && ctx.Err() != nil {
			return false, fmt.Errorf("%w: not done in %v: %w", storage.ErrBusy, how.limit, err)
		}
		return passes(err, broken), err
	}
	err = pg.Commit(ctx)
	if err != nil && !refused(err) {
		return false, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return passes(err, false), translate(err)
}

// start begins the transaction on a server that answers in time. The server
// ends it too: who is stopped with a lock or a snapshot must not keep it.
func (how transaction) start(ctx context.Context, c *pgxpool.Conn, patience time.Duration) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const idle = "; SET LOCAL idle_in_transaction_session_timeout = "
	return c.BeginTx(ctx, pgx.TxOptions{BeginQuery: how.begin + idle + strconv.FormatInt(how.limit.Milliseconds(), 10)})
}

// pause waits and reports whether the context is still good.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// backoff returns a random delay that grows with n from least to most.
func backoff(n int, least, most time.Duration) time.Duration {
	d := min(least<<min(n, 16), most)
	return d/2 + rand.N(d/2+1)
}

// gate lets calls in until it is shut, and then waits for those inside.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return storage.ErrClosed
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
