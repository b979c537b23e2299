//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, harness(200, func(t testing.TB) string { return shared.url(shared.newSchema(t)) }))
}

func TestEngineThroughATransactionPooler(t *testing.T) {
	if !historytest.Full() {
		t.Skip("UPKEEP_FULL=1 without the race detector runs the suites through a pooler too")
	}
	t.Parallel()
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := newPooler(t, shared)
			storagetest.Run(t, harness(20, func(t testing.TB) string {
				return urlAt(dir, shared.newSchema(t)) + "&default_query_exec_mode=" + mode
			}))
		})
	}
}

// harness describes the engine on databases whose URLs fresh returns.
func harness(histories int, fresh func(testing.TB) string) storagetest.Harness {
	urls := map[storage.Backend]string{}
	retain := func(t testing.TB, r storage.Retention) storage.Backend {
		url := fresh(t)
		db := open(t, postgres.Config{URL: url, Retention: r})
		urls[db] = url
		return db
	}
	return storagetest.Harness{
		Open: func(t testing.TB) storage.Backend { return retain(t, storage.Retention{}) },
		Again: func(t testing.TB, first storage.Backend) storage.Backend {
			return open(t, postgres.Config{URL: urls[first]})
		},
		Retain: retain,
		Damage: func(t testing.TB, b storage.Backend, statement string, args ...any) {
			damage(t, urls[b], statement, args...)
		},
		RealTime:  true,
		Histories: histories,
	}
}

// damage changes a database behind the engine's back. Parameters are written ?.
func damage(t testing.TB, url, statement string, args ...any) {
	t.Helper()
	for i := range args {
		statement = strings.Replace(statement, "?", fmt.Sprint("$", i+1), 1)
	}
	c, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	defer c.Close(context.Background())
	done, err := c.Exec(context.Background(), statement, args...)
	require.NoError(t, err)
	require.Positive(t, done.RowsAffected(), "nothing to damage")
}
