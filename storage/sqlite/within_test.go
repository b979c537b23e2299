package sqlite_test

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func TestStoresWithin(t *testing.T) {
	for name, conns := range map[string]int{"a pool": 0, "one connection": 1} {
		t.Run(name, func(t *testing.T) {
			var apps sync.Map
			h := storagetest.WithinHarness{
				Open: func(t testing.TB) storage.Backend {
					app, db := shop(t)
					apps.Store(db, app)
					return db
				},
				Begin: func(t testing.TB, b storage.Backend) storagetest.Transaction {
					app, _ := apps.Load(b)
					return beginning(t, app.(*sql.DB), b.(*sqlite.DB), conns)
				},
			}
			for name, run := range h.Cases() {
				if conns == 1 && (name == outsideReads || name == heard) {
					continue // which wait for the only connection
				}
				t.Run(name, func(t *testing.T) { run(t) })
			}
		})
	}
}

const (
	outsideReads = "what is written within happens with the transaction or not at all"
	heard        = "a watcher hears of what was written within"
)

func beginning(t testing.TB, app *sql.DB, db *sqlite.DB, conns int) storagetest.Transaction {
	app.SetMaxOpenConns(conns)
	tx, err := app.Begin()
	require.NoError(t, err)
	return storagetest.Transaction{
		Stores: db.Within(tx),
		Change: func() error { _, err := tx.Exec("INSERT INTO customer VALUES ('Ada')"); return err },
		Changes: func() (n int) {
			require.NoError(t, app.QueryRow("SELECT count(*) FROM customer").Scan(&n))
			return n
		},
		Commit: tx.Commit, Rollback: tx.Rollback,
	}
}
