//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// content is what the rows have that are read, 256 bytes.
var content = []byte(`{"text":"` + strings.Repeat("x", 256-len(`{"text":""}`)) + `"}`)

// servedRows returns a table with n rows in production, which are in memory.
func servedRows(b *testing.B, store lv.VersionStore, n int) (*lv.Table, []string) {
	service, err := lv.New(lv.Config{VersionStore: store, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, service.Close()) })
	s := service.Table("app", "banners")
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("row-%07d", i)
	}
	for some := range slices.Chunk(ids, 1000) {
		edits := make([]lv.Edit, len(some))
		for i, id := range some {
			edits[i] = lv.Edit{Op: lv.OpSave, Row: id, Content: content}
		}
		_, err := s.Edit(b.Context(), by, edits...)
		require.NoError(b, err)
		_, err = s.Publish(b.Context(), lv.Production, by, some...)
		require.NoError(b, err)
	}
	_, err = s.Get(b.Context(), ids[0], lv.View{})
	require.NoError(b, err)
	return s, ids
}

// BenchmarkGet reads rows of production by their ids in no order, and does the
// same by a prepared statement on SQLite, which has them all in its cache.
// x-sqlite is how many times faster the former is.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint("rows=", n), func(b *testing.B) {
			s, ids := servedRows(b, memory.New().Versions(), n)
			peer := preparedRead(b, ids)
			asked := make([]string, n)
			for i, k := range rand.Perm(n) { // as requests bring them: not the strings that are kept
				asked[i] = strings.Clone(ids[k])
			}
			ctx := context.Background()
			get := func(i int) {
				if _, err := s.Get(ctx, asked[i%n], lv.View{}); err != nil {
					b.Error(err)
				}
			}
			read := func(i int) { peer(asked[i%n]) }
			for b.Loop() {
				ours, theirs := suitetest.TakeTurns(50, 10_000, get, 200, read)
				b.ReportMetric(theirs/ours, "x-sqlite")
				b.ReportMetric(ours, "ns/get")
				b.ReportMetric(theirs, "ns/sqlite-read")
				b.ReportMetric(testing.AllocsPerRun(1000, func() { get(1) }), "allocs/get")
			}
		})
	}
}

// preparedRead returns a read of the same row from SQLite: by the pointer of
// its environment, the version that is there.
func preparedRead(b *testing.B, ids []string) func(id string) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "peer.db")+
		"?_pragma=journal_mode(WAL)&_pragma=cache_size(-65536)")
	require.NoError(b, err)
	b.Cleanup(func() { db.Close() })
	_, err = db.ExecContext(b.Context(), `
		CREATE TABLE version (id INTEGER PRIMARY KEY, content BLOB NOT NULL, updated INTEGER NOT NULL) STRICT;
		CREATE TABLE pointer (env TEXT, row TEXT, version INTEGER NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (env, row)) WITHOUT ROWID, STRICT`)
	require.NoError(b, err)
	tx, err := db.BeginTx(b.Context(), nil)
	require.NoError(b, err)
	for i, id := range ids {
		_, err := tx.Exec(`INSERT INTO version VALUES (?1, ?2, 0)`, i, content)
		require.NoError(b, err)
		_, err = tx.Exec(`INSERT INTO pointer VALUES ('', ?1, ?2, 0)`, id, i)
		require.NoError(b, err)
	}
	require.NoError(b, tx.Commit())
	read, err := db.PrepareContext(b.Context(), `SELECT v.id, v.content, p.created, v.updated
		FROM pointer p JOIN version v ON v.id = p.version WHERE p.env = '' AND p.row = ?1`)
	require.NoError(b, err)
	return func(id string) {
		var version, created, updated int64
		var text []byte
		if err := read.QueryRowContext(context.Background(), id).Scan(&version, &text, &created, &updated); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkGetWhilePublishing reads rows of production alone, and while 16
// publishers save and publish on SQLite as fast as they can. p99-x-alone is
// the 99th percentile of a read, in batches of 16, against that of reading
// alone.
func BenchmarkGetWhilePublishing(b *testing.B) {
	const n, publishers = 10_000, 16
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(b.TempDir(), "upkeep.db")})
	require.NoError(b, err)
	defer db.Close()
	s, ids := servedRows(b, db.Versions(), n)
	ctx := context.Background()
	for b.Loop() {
		var alone, busy, rates []float64
		for range rounds {
			alone = append(alone, p99Read(b, s, ids))
			stop, cancel := context.WithCancel(ctx)
			var writers sync.WaitGroup
			var counts [publishers]int
			began := time.Now()
			for p := range publishers {
				writers.Go(func() {
					for ; stop.Err() == nil; counts[p]++ {
						id := ids[(p*613+counts[p]*17)%n]
						if _, err := s.Save(ctx, id, page(fmt.Sprint(p, counts[p])), by); err != nil {
							b.Error(err)
						}
						if _, err := s.Publish(ctx, lv.Production, by, id); err != nil {
							b.Error(err)
						}
					}
				})
			}
			busy = append(busy, p99Read(b, s, ids))
			cancel()
			writers.Wait()
			total := 0
			for _, count := range counts {
				total += count
			}
			rates = append(rates, float64(total)/time.Since(began).Seconds())
		}
		b.ReportMetric(suitetest.Median(busy)/suitetest.Median(alone), "p99-x-alone")
		b.ReportMetric(suitetest.Median(alone), "ns-p99-alone")
		b.ReportMetric(suitetest.Median(busy), "ns-p99-publishing")
		b.ReportMetric(suitetest.Median(rates), "publish/s")
	}
}

// p99Read returns the 99th percentile of the time of a Get, over half a second.
func p99Read(b *testing.B, s *lv.Table, ids []string) float64 {
	const batch = 16 // or the clock would be most of it
	times := make([]float64, 0, 1_000_000)
	for start := time.Now(); time.Since(start) < 500*time.Millisecond && len(times) < cap(times); {
		id := ids[len(times)*7919%len(ids)]
		began := time.Now()
		for range batch {
			if _, err := s.Get(context.Background(), id, lv.View{}); err != nil {
				b.Error(err)
			}
		}
		times = append(times, float64(time.Since(began).Nanoseconds())/batch)
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}
