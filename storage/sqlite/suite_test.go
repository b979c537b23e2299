package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

// damage changes a database behind the engine's back.
func damage(t testing.TB, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	defer db.Close()
	done, err := db.Exec(statement, args...)
	require.NoError(t, err)
	changed, err := done.RowsAffected()
	require.NoError(t, err)
	require.Positive(t, changed, "nothing to damage")
}

func TestSuites(t *testing.T) {
	var paths sync.Map // of the open engines
	openAt := func(t testing.TB, c sqlite.Config) storage.Backend {
		c.Relaxed = true // the disk is not what is tested
		db, err := sqlite.Open(c)
		require.NoError(t, err)
		paths.Store(db, c.Path)
		return db
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t testing.TB) storage.Backend {
			return openAt(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
		},
		Again: func(t testing.TB, first storage.Backend) storage.Backend {
			path, _ := paths.Load(first)
			return openAt(t, sqlite.Config{Path: path.(string)})
		},
		Retain: func(t testing.TB, r storage.Retention) storage.Backend {
			return openAt(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Retention: r})
		},
		Damage: func(t testing.TB, b storage.Backend, statement string, args ...any) {
			path, _ := paths.Load(b)
			damage(t, path.(string), statement, args...)
		},
		Histories: 2000 / historytest.Every(20),
	})
}
