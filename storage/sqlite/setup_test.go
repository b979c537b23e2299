package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// open opens a database that is closed when the test ends.
func open(t testing.TB, c sqlite.Config) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// rawly changes a database behind the engine's back.
func rawly(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err, s)
	}
}

// made makes a database of ours, closes it and returns its path.
func made(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	_, err = db.Locker().Acquire(t.Context(), "core", "me", 1e9)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return path
}

// take takes an item for an hour.
func take(db *sqlite.DB, item string) error {
	_, err := db.Locker().Acquire(context.Background(), item, fmt.Sprint("process ", os.Getpid()), time.Hour)
	return err
}

func create(db *sqlite.DB, id string, size int) error {
	_, err := db.Journal().Create(context.Background(), update.Run{
		ID: id, Package: "demo/site", Item: "core", State: update.StateRunning, Token: 1, Reason: string(make([]byte, size)),
	}, update.Event{Kind: update.EventStarted})
	return err
}

func runs(t *testing.T, db *sqlite.DB) (ids []string) {
	t.Helper()
	for run, err := range db.Journal().History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		ids = append(ids, run.ID)
	}
	return ids
}
