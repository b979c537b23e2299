//go:build unix

package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Statements wait to be sent together, which nobody may notice.
func TestAStatementThatWaitsIsSeenByWhatFollowsIt(t *testing.T) {
	broken := errors.New("broken")
	for _, mode := range []string{"cache_statement", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			schema := shared.newSchema(t)
			db := open(t, postgres.Config{URL: shared.url(schema) + "&default_query_exec_mode=" + mode}).Engine()
			numbers := func() int { return count(t, "SELECT count(*) FROM "+schema+".number") }
			insert := func(tx sqlstore.Tx, n int64) error { return tx.Exec("INSERT INTO number VALUES (?1)", n) }
			write := func(f func(tx sqlstore.Tx) error) error { return db.Write(t.Context(), f) }

			require.NoError(t, write(func(tx sqlstore.Tx) error {
				return tx.Exec("CREATE TABLE number (n BIGINT PRIMARY KEY); INSERT INTO number VALUES (0)")
			}))
			require.NoError(t, write(func(tx sqlstore.Tx) error {
				require.NoError(t, insert(tx, 1))
				var n int64
				require.NoError(t, tx.Row("SELECT max(n) FROM number", nil, &n))
				require.EqualValues(t, 1, n)
				require.NoError(t, insert(tx, 2))
				n = 0
				require.NoError(t, tx.Query("SELECT n FROM number", nil, func(func(...any) error) error { n++; return nil }))
				require.EqualValues(t, 3, n)
				require.NoError(t, insert(tx, 3))
				return tx.Exec("DELETE FROM number WHERE n = 3; DELETE FROM number WHERE n = 0")
			}))
			require.Equal(t, 2, numbers())

			require.NoError(t, write(func(tx sqlstore.Tx) error {
				for n := range int64(1000) {
					if err := insert(tx, 1000+n); err != nil {
						return err
					}
				}
				return nil
			}))
			require.Equal(t, 1002, numbers())

			var pg *pgconn.PgError
			err := write(func(tx sqlstore.Tx) error { return errors.Join(insert(tx, 4), insert(tx, 1), insert(tx, 5)) })
			require.ErrorAs(t, err, &pg, "the last that follows is the commit")
			require.Equal(t, "23505", pg.Code)
			err = write(func(tx sqlstore.Tx) error {
				if err := errors.Join(insert(tx, 4), insert(tx, 1)); err != nil {
					return err
				}
				var n int64
				return tx.Row("SELECT 1::bigint", nil, &n)
			})
			require.ErrorAs(t, err, &pg, "the one that follows is a read")
			require.ErrorIs(t, write(func(tx sqlstore.Tx) error { return errors.Join(insert(tx, 4), broken) }), broken)
			require.Equal(t, 1002, numbers(), "nothing is left of what failed")
		})
	}
}
