package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

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
		Histories: 2000,
	})
}
