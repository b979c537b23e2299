package step_test

import (
	"database/sql"
	"database/sql/driver"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func init() {
	sqlite.MustRegisterScalarFunction("a_minute", 1, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		time.Sleep(time.Minute)
		return int64(1), nil
	})
}

func TestMigrateSQLGivesAFileTheTimeThatItMayTake(t *testing.T) {
	t.Parallel()
	const minutes = "INSERT INTO news WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < "
	tests := []struct {
		name    string
		file    string
		longest time.Duration
		message string
	}{
		{"longer than the lock without a word", minutes + "8) SELECT a_minute(i) FROM n;", 0, ""},
		{"longer than by default", minutes + "30) SELECT a_minute(i) FROM n;", time.Hour, ""},
		{"too long", minutes + "30) SELECT a_minute(i) FROM n;", 0, "running 0002_more.sql: step: it took longer than Migrations.Longest, which is 10m0s"},
		{"each statement", apart + minutes + "8) SELECT a_minute(i) FROM n;" + minutes + "8) SELECT a_minute(i) FROM n;", 0, ""},
		{"a statement too long", apart + minutes + "8) SELECT a_minute(i) FROM n;" + minutes + "30) SELECT a_minute(i) FROM n;", 0, "statement 2 of 2, line 2: step: it took longer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, err := sql.Open("sqlite", ":memory:")
				require.NoError(t, err)
				defer db.Close()
				db.SetMaxOpenConns(1)
				u := newUpdater(t, step.MigrateSQL(step.Migrations{
					DB: db, Longest: tt.longest, Files: fixed(map[string]string{"0001_news.sql": first, "0002_more.sql": tt.file}),
				}))
				_, err = install(t.Context(), u, "1.0.0")
				if tt.message != "" {
					require.ErrorContains(t, err, tt.message)
					return
				}
				require.NoError(t, err)
				require.Len(t, recorded(t, db), 2)
			})
		})
	}
}

func TestMigrateSQLStopsWhenItsRunIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := sql.Open("sqlite", ":memory:")
		require.NoError(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		content := map[string]string{
			"0001_news.sql": first,
			"0002_more.sql": "CREATE TABLE more (x); INSERT INTO more WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 9) SELECT a_minute(i) FROM n;",
		}
		u := newUpdater(t, step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content)}))
		run, err := u.Start(t.Context(), update.Request{Package: "demo/site", Version: "1.0.0"})
		require.NoError(t, err)
		time.Sleep(4*time.Minute + 45*time.Second)
		require.NoError(t, u.Cancel(t.Context(), run.ID, update.By{}))
		_, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, []string{"news"}, tables(t, db))
		require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))

		_, err = install(t.Context(), u, "1.0.0")
		require.NoError(t, err, "and may be tried again")
		require.Equal(t, []string{"0001_news.sql", "0002_more.sql"}, recorded(t, db))
	})
}
