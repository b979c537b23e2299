//go:build unix

package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/storagetest"
	"github.com/upkeep-go/upkeep/update"
)

// application is a program with a table of its own that uses its own pool.
func application(t testing.TB) (*pgxpool.Pool, *postgres.DB) {
	pool, err := pgxpool.New(t.Context(), shared.url(shared.newSchema(t)))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), "CREATE TABLE page (name TEXT PRIMARY KEY)")
	require.NoError(t, err)
	db, err := postgres.Use(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return pool, db
}

func TestAFailureWithinLeavesTheCallersTransactionUsable(t *testing.T) {
	ctx := t.Context()
	pool, db := application(t)
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	j := db.Within(tx).Journal()
	require.NoError(t, create(ctx, j, "a"))
	require.ErrorIs(t, create(ctx, j, "a"), update.ErrExists)
	_, err = tx.Exec(ctx, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "+
		"$$ BEGIN RAISE EXCEPTION 'no'; END $$; "+
		"CREATE TRIGGER refuse BEFORE INSERT ON upkeep_update_event FOR EACH ROW EXECUTE FUNCTION refuse()")
	require.NoError(t, err)
	require.Error(t, create(ctx, j, "b"), "it fails in the middle of its writes")
	ended, end := context.WithCancel(ctx)
	end()
	require.ErrorIs(t, create(ended, j, "c"), context.Canceled)
	_, err = tx.Exec(ctx, "DROP TRIGGER refuse ON upkeep_update_event")
	require.NoError(t, err)
	require.NoError(t, create(ctx, j, "d"))
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, 2, requireWholeOrAbsent(t, db.Journal(), []string{"a", "b", "c", "d"}))
}

func TestAContextThatEndsDuringACallWithinCostsTheCallerNothing(t *testing.T) {
	pool, db := application(t)
	other, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, create(t.Context(), db.Within(other).Journal(), "other")) // keeps the journal

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	pid := tx.Conn().PgConn().PID()
	ctx, end := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- create(ctx, db.Within(tx).Journal(), "mine") }()
	waits := "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'advisory'"
	eventually(t, func() bool { return count(t, waits, pid) == 1 }, "the call does not wait")
	end()
	require.NoError(t, other.Commit(t.Context()))
	require.NoError(t, <-result)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, 2, requireWholeOrAbsent(t, db.Journal(), []string{"mine", "other"}))
}

func TestStoresWithin(t *testing.T) {
	var pools sync.Map
	storagetest.RunWithin(t, storagetest.WithinHarness{
		Open: func(t testing.TB) storage.Backend {
			pool, db := application(t)
			pools.Store(db, pool)
			return db
		},
		Begin: func(t testing.TB, b storage.Backend) storagetest.Transaction {
			p, _ := pools.Load(b)
			pool := p.(*pgxpool.Pool)
			return beginning(t, pool, b.(*postgres.DB))
		},
	})
}

// TestTablesAreMadeWithinWhenThePoolIsExhausted has the tables made in the caller's
// transaction.
func TestTablesAreMadeWithinWhenThePoolIsExhausted(t *testing.T) {
	config, err := pgxpool.ParseConfig(shared.url(shared.newSchema(t)))
	require.NoError(t, err)
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	db, err := postgres.Use(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	defer db.Close()
	for range 2 {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, create(t.Context(), db.Within(tx).Journal(), "a"))
		require.NoError(t, create(t.Context(), db.Within(tx).Journal(), "b"))
		require.NoError(t, tx.Rollback(t.Context()))
	}
	require.NoError(t, create(t.Context(), db.Journal(), "a"))
}

func beginning(t testing.TB, pool *pgxpool.Pool, db *postgres.DB) storagetest.Transaction {
	ctx := context.WithoutCancel(t.Context())
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	return storagetest.Transaction{
		Stores: db.Within(tx),
		Change: func() error { _, err := tx.Exec(ctx, "INSERT INTO page VALUES ('home')"); return err },
		Changes: func() (n int) {
			require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM page").Scan(&n))
			return n
		},
		Commit:   func() error { return tx.Commit(ctx) },
		Rollback: func() error { return tx.Rollback(ctx) },
	}
}
