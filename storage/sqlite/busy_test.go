package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// hog holds the write lock of a database, as another process would, until the
// function that it returns is called.
func hog(t *testing.T, path string) (release func()) {
	raw, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	require.NoError(t, err)
	tx, err := raw.Begin()
	require.NoError(t, err)
	return func() { require.NoError(t, errors.Join(tx.Rollback(), raw.Close())) }
}

func TestAWriteWaitsForOtherProcessesForTheBusyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(t, sqlite.Config{Path: path, BusyTimeout: 10 * time.Second})
		release := hog(t, path)
		began := time.Now()
		require.ErrorIs(t, take(db, "core"), storage.ErrBusy)
		require.InDelta(t, 10*time.Second, time.Since(began), float64(time.Second))

		done := make(chan error)
		go func() { done <- take(db, "core") }()
		time.Sleep(5 * time.Second)
		release()
		released := time.Now()
		require.NoError(t, <-done)
		require.Less(t, time.Since(released), 10*time.Millisecond)
	})
}

func TestACallerWhoWaitsForAnotherProcessMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(t, sqlite.Config{Path: path, BusyTimeout: 10 * time.Second})
		release := hog(t, path)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := db.Locker().Acquire(ctx, "core", "me", time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		release()
		require.NoError(t, take(db, "core"), "what was given up is not done")
	})
}

func TestReadersDoNotWaitForAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	require.NoError(t, take(db, "core"))
	release := hog(t, path)
	defer release()
	_, err := db.Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
}

func TestASnapshotLivesForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		count := func(tx sqlstore.Tx) (n int64, err error) {
			err = tx.Row("SELECT count(*) FROM upkeep_number", nil, &n)
			return n, err
		}
		err := db.Read(t.Context(), func(tx sqlstore.Tx) error {
			n, err := count(tx)
			require.NoError(t, err)
			require.Zero(t, n)
			require.NoError(t, db.Write(t.Context(), insert(1)))
			time.Sleep(4 * time.Second)
			n, err = count(tx)
			require.NoError(t, err)
			require.Zero(t, n, "it is a snapshot")
			time.Sleep(2 * time.Second)
			_, err = count(tx)
			return err
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []int64{1}, numbers(t, db))
	})
}

// TestToWaitForAReaderIsNoPartOfASnapshotsLife has three times as many
// snapshots as there are readers.
func TestToWaitForAReaderIsNoPartOfASnapshotsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		results := make(chan error)
		for range 3 * db.Readers() {
			go func() {
				results <- db.Read(t.Context(), func(tx sqlstore.Tx) error {
					time.Sleep(4 * time.Second)
					var n int64
					return tx.Row("SELECT count(*) FROM upkeep_number", nil, &n)
				})
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, db.Read(ctx, nil), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began), "the wait ends with the context")
		for range 3 * db.Readers() {
			require.NoError(t, <-results)
		}
		require.Equal(t, 12*time.Second, time.Since(began))
	})
}

func TestFeedsLeaveReadersToOthers(t *testing.T) {
	db := scratch(t)
	require.Positive(t, db.Feeds())
	require.Less(t, db.Feeds(), db.Readers())

	pool, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close()) }()
	pool.SetMaxOpenConns(6)
	used, err := sqlite.Use(t.Context(), pool, sqlite.Config{})
	require.NoError(t, err)
	require.Equal(t, 3, used.Feeds())
	require.NoError(t, used.Close())
}

func TestAReaderCannotWrite(t *testing.T) {
	db := scratch(t)
	require.ErrorIs(t, db.Read(t.Context(), insert(1)), storage.ErrReadOnly)
	require.NoError(t, db.Write(t.Context(), insert(1)))
}
