//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

func BenchmarkEngine(b *testing.B) {
	fresh := func(t testing.TB) *postgres.DB {
		return open(t, postgres.Config{URL: shared.url(shared.newSchema(t))})
	}
	leasetest.BenchmarkLocker(b, leasetest.Harness{
		Open: func(t testing.TB) lease.Locker { return fresh(t).Locker() },
	})
	updatetest.BenchmarkJournal(b, updatetest.Harness{
		Open: func(t testing.TB) update.Journal { return fresh(t).Journal() },
	})
}

// BenchmarkLease acquires and releases, one caller and 16 on items of their
// own, against the same two statements sent by themselves to a table of the
// same server, in interleaved rounds. The metric is their time over ours.
func BenchmarkLease(b *testing.B) {
	const rounds, pairs = 5, 160
	url := shared.url(shared.newSchema(b)) + "&pool_max_conns=16"
	locker := open(b, postgres.Config{URL: url}).Locker()
	pool, err := pgxpool.New(b.Context(), url)
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), "CREATE TABLE bare (item BYTEA PRIMARY KEY, owner BYTEA, token BIGINT NOT NULL, ends TIMESTAMPTZ NOT NULL)")
	require.NoError(b, err)

	ours := func(item string) error {
		held, err := locker.Acquire(b.Context(), item, "me", time.Hour)
		if err != nil {
			return err
		}
		return locker.Release(b.Context(), held)
	}
	bare := func(item string) error { return barePair(b.Context(), pool, item) }
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			for b.Loop() {
				var mine, theirs []time.Duration
				for range rounds {
					mine = append(mine, sideBySide(b, callers, pairs/callers, ours))
					theirs = append(theirs, sideBySide(b, callers, pairs/callers, bare))
				}
				slices.Sort(mine)
				slices.Sort(theirs)
				b.ReportMetric(float64(theirs[rounds/2])/float64(mine[rounds/2]), "x-bare")
			}
		})
	}
}

func barePair(ctx context.Context, pool *pgxpool.Pool, item string) error {
	var token int64
	err := pool.QueryRow(ctx, `INSERT INTO bare VALUES ($1, 'me', 1, clock_timestamp() + interval '1 hour')
		ON CONFLICT (item) DO UPDATE SET owner = excluded.owner, token = bare.token + 1, ends = excluded.ends
		WHERE bare.owner IS NULL OR bare.ends <= clock_timestamp() RETURNING token`, []byte(item)).Scan(&token)
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, "UPDATE bare SET owner = NULL WHERE item = $1 AND token = $2", []byte(item), token)
	return err
}

// sideBySide returns how long so many callers need for n pairs each.
func sideBySide(b *testing.B, callers, n int, pair func(item string) error) time.Duration {
	began := time.Now()
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			for range n {
				if err := pair(fmt.Sprint(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	work.Wait()
	return time.Since(began)
}
