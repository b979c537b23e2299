//go:build unix

package lv_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
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
		all, few := suitetest.TakeTurns(1, 10_000, read(many), 10_000, read(one))
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
