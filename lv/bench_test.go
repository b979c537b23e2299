//go:build unix

package lv_test

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the peer of BenchmarkGet

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// rounds is how often each contender runs; they take turns, because the
// machine is not the same from one second to the next.
const rounds = 5

// contest lets two take turns, n and m calls each, and returns the processor
// time of a call of each in nanoseconds, what the garbage costs included.
func contest(b *testing.B, n int, ours func(i int), m int, theirs func(i int)) (fast, slow float64) {
	var first, second []float64
	for range rounds {
		first, second = append(first, used(b, n, ours)), append(second, used(b, m, theirs))
	}
	return suitetest.Median(first), suitetest.Median(second)
}

// quick is contest for what takes so little time that the caches matter, which
// others empty: it returns the medians of short batches of n and m calls. So
// many batches are a turn.
func quick(batches, n int, ours func(i int), m int, theirs func(i int)) (fast, slow float64) {
	var first, second []float64
	for len(first) < 250 {
		for range batches {
			first = append(first, timed(n, ours))
		}
		for range batches {
			second = append(second, timed(m, theirs))
		}
	}
	return suitetest.Median(first), suitetest.Median(second)
}

// timed returns how long a call of f takes, in nanoseconds.
func timed(n int, f func(i int)) float64 {
	began := time.Now()
	for i := range n {
		f(i)
	}
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

// used returns the processor time of a call of f in nanoseconds.
func used(b *testing.B, n int, f func(i int)) float64 {
	before := cpu(b)
	for i := range n {
		f(i)
	}
	return float64((cpu(b) - before).Nanoseconds()) / float64(n)
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var content = []byte(`{"text":"` + strings.Repeat("x", 256-len(`{"text":""}`)) + `"}`)

// published returns a site with n rows in production.
func published(b *testing.B, store lv.VersionStore, n int) (site, []string) {
	s := serve(b, lv.Config{VersionStore: store})
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("row-%07d", i)
	}
	for some := range slices.Chunk(ids, 1000) {
		edits := make([]lv.Edit, len(some))
		for i, id := range some {
			edits[i] = lv.Edit{Op: lv.OpSave, Row: id, Content: content}
		}
		_, err := s.Edit(b.Context(), ada, edits...)
		require.NoError(b, err)
		s.publish(lv.Production, some...)
	}
	_, err := s.Get(b.Context(), ids[0], lv.View{})
	require.NoError(b, err)
	return s, ids
}

// BenchmarkGet reads rows of production by their ids in no order, and does the
// same by a prepared statement on SQLite, which has them all in its cache.
// x-sqlite is how many times faster the former is.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint("rows=", n), func(b *testing.B) {
			s, ids := published(b, memory.New().Versions(), n)
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
				ours, theirs := quick(50, 10_000, get, 200, read)
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
	s, ids := published(b, db.Versions(), n)
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
						if _, err := s.Save(ctx, id, page(fmt.Sprint(p, counts[p])), ada); err != nil {
							b.Error(err)
						}
						if _, err := s.Publish(ctx, lv.Production, ada, id); err != nil {
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
func p99Read(b *testing.B, s site, ids []string) float64 {
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

// BenchmarkPublishVisible shows a publish to readers of 10,000 rows, and copies
// a map of pointers to as many rows.
func BenchmarkPublishVisible(b *testing.B) {
	const n = 10_000
	root, full := lv.NewRoot(n), make(map[string]*lv.Row, n)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("row-%07d", i)
		full[ids[i]] = &lv.Row{ID: ids[i], Version: lv.VersionID(i + 1), Content: content}
	}
	publish := func(i int) {
		root = root.Released(lv.Moved{Row: ids[i*7919%n], To: lv.VersionID(n + i), Content: content})
	}
	for b.Loop() {
		ours, theirs := contest(b, 20_000, publish, 200, func(int) { full = maps.Clone(full) })
		b.ReportMetric(ours/theirs, "of-full-copy")
		b.ReportMetric(ours, "ns/publish")
		b.ReportMetric(theirs, "ns/full-copy")
	}
}

// BenchmarkStrategies reads, as a visitor, one row of 1,000 that have a
// strategy each, and a row that is the only one with a strategy.
func BenchmarkStrategies(b *testing.B) {
	const n = 1000
	one, ids := published(b, memory.New().Versions(), n)
	many, _ := published(b, memory.New().Versions(), n)
	target := func(s site, id string) lv.VersionID {
		row, err := s.Get(b.Context(), id, lv.View{})
		require.NoError(b, err)
		return row.Version
	}
	one.strategy(lv.Strategy{Target: target(one, ids[500]), Rules: greeted})
	for _, id := range ids {
		many.strategy(lv.Strategy{Target: target(many, id), Rules: greeted})
	}
	visitor := hello("Hello, world")
	read := func(s site) func(int) {
		return func(int) {
			if _, err := s.Get(context.Background(), ids[500], lv.View{For: visitor}); err != nil {
				b.Error(err)
			}
		}
	}
	for b.Loop() {
		all, few := quick(1, 10_000, read(many), 10_000, read(one))
		b.ReportMetric(all/few, "x-one-strategy")
		b.ReportMetric(all, "ns/get")
		b.ReportMetric(few, "ns/get-one-strategy")
		get := read(many)
		b.ReportMetric(testing.AllocsPerRun(1000, func() { get(0) }), "allocs/get")
	}
}

// crowd is a store of one table with many rows, which it keeps nowhere.
type crowd struct {
	lv.VersionStore
	rows int
}

func (c crowd) Tables(context.Context, ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return func(yield func(lv.TableInfo, error) bool) {
		yield(lv.TableInfo{ID: lv.TableID{App: "app", Schema: "banners"}, Seq: 1}, nil)
	}
}

func (c crowd) Rows(context.Context, lv.TableID, lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		for i := range c.rows {
			row := lv.Row{
				ID: fmt.Sprintf("row-%07d", i), Version: lv.VersionID(i + 1), Content: slices.Clone(content),
				CreatedAt: time.UnixMilli(1), UpdatedAt: time.UnixMilli(1),
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// BenchmarkMemory measures what each of 1,000,000 rows of 256 bytes takes in
// memory, beside a map of them.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	store := crowd{rows: n}
	for b.Loop() {
		before, start := heap(), time.Now()
		s := serve(b, lv.Config{VersionStore: store})
		_, err := s.Get(b.Context(), "row-0000000", lv.View{})
		require.NoError(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "s/load")
		ours := float64(heap()-before) / n
		runtime.KeepAlive(s)

		before = heap()
		plain := map[string]*lv.Row{}
		for row := range store.Rows(b.Context(), lv.TableID{}, lv.View{}) {
			plain[row.ID] = &row
		}
		theirs := float64(heap()-before) / n
		runtime.KeepAlive(plain)
		b.ReportMetric(ours, "B/row")
		b.ReportMetric(theirs, "B/row-in-map")
		b.ReportMetric(ours/theirs, "x-map")
		b.ReportMetric(ours/(1.5*256+200), "of-1.5x256+200")
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
