//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
)

// application is a program with a table of its own that uses its own pool.
func application(t *testing.T) (*pgxpool.Pool, *postgres.DB) {
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

func TestWithinIsPartOfTheCallersTransaction(t *testing.T) {
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("commits: %v", commits), func(t *testing.T) {
			ctx := t.Context()
			pool, db := application(t)
			refused := errors.New("refused")
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				within := db.Within(tx)
				defer within.Close()
				_, err := tx.Exec(ctx, "INSERT INTO page VALUES ('home')")
				require.NoError(t, err)
				_, err = within.Locker().Acquire(ctx, "core", "me", time.Hour)
				require.NoError(t, err)
				require.NoError(t, create(ctx, within.Journal(), "a"))

				_, err = within.Journal().Get(ctx, "a")
				require.NoError(t, err)
				_, err = db.Journal().Get(ctx, "a")
				require.ErrorIs(t, err, update.ErrNotFound, "seen from outside before the commit")
				if commits {
					return nil
				}
				return refused
			})
			pages := 0
			require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM page").Scan(&pages))
			_, held := db.Locker().Holder(ctx, "core")
			runs := requireWholeOrAbsent(t, db.Journal(), []string{"a"})
			if commits {
				require.NoError(t, err)
				require.NoError(t, held)
				require.Equal(t, []int{1, 1}, []int{pages, runs})
			} else {
				require.ErrorIs(t, err, refused)
				require.ErrorIs(t, held, update.ErrFree)
				require.Equal(t, []int{0, 0}, []int{pages, runs})
			}
		})
	}
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

func TestStoresWithinMayBeCalledSideBySide(t *testing.T) {
	pool, db := application(t)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	within := db.Within(tx)
	var calls sync.WaitGroup
	var ids []string
	for i := range 8 {
		id := fmt.Sprint(i)
		ids = append(ids, id)
		calls.Go(func() {
			if err := create(t.Context(), within.Journal(), id); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, 8, requireWholeOrAbsent(t, db.Journal(), ids))
}

func TestAWatcherHearsOfWhatWasWrittenWithin(t *testing.T) {
	pool, db := application(t)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	go func() {
		tx, err := pool.Begin(ctx)
		if err == nil {
			create(ctx, db.Within(tx).Journal(), "a")
			tx.Commit(ctx)
		}
	}()
	for e, err := range db.Journal().Watch(ctx, -1) {
		require.NoError(t, err)
		require.Equal(t, "a", e.Run)
		break
	}
}
