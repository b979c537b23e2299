//go:build unix

package postgres_test

import (
	"context"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func TestSchema(t *testing.T) {
	storagetest.RunSchema(t, storagetest.SchemaHarness{
		Fresh: func(t testing.TB) string { return shared.url(shared.newSchema(t)) },
		Open: func(_ testing.TB, url string, migrations fs.FS) (storage.Backend, error) {
			db, err := postgres.OpenWith(context.Background(), postgres.Config{URL: url}, migrations)
			if err != nil {
				return nil, err
			}
			return db, nil
		},
		Tables: func(t testing.TB, url string) []string {
			c, err := pgx.Connect(t.Context(), url)
			require.NoError(t, err)
			defer c.Close(context.Background())
			rows, err := c.Query(t.Context(), "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
			require.NoError(t, err)
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			return names
		},
	})
}

// TestSuitesOnTablesOfANewerLibrary has this library use tables that have got
// more columns.
func TestSuitesOnTablesOfANewerLibrary(t *testing.T) {
	if !historytest.Full() {
		t.Skip("UPKEEP_FULL=1 without the race detector runs the suites on tables of a newer library too")
	}
	t.Parallel()
	storagetest.Run(t, harness(20, func(t testing.TB) string {
		url := shared.url(shared.newSchema(t))
		newer, err := postgres.OpenWith(t.Context(), postgres.Config{URL: url}, storagetest.Crowded())
		require.NoError(t, err)
		newer.Engine() // has the tables
		require.NoError(t, newer.Close())
		return url
	}))
}
