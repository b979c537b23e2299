package lvtest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// rounds is how often two workloads that are compared take turns.
const rounds = 5

// BenchmarkPublish measures an engine: rows are saved and published one by one,
// by one and by 16 publishers in turn. Each iteration is the whole workload.
func BenchmarkPublish(b *testing.B, h Harness) {
	const each = 40
	s := h.Open(b)
	b.ReportAllocs()
	n := 0
	var one, many []float64 // publications a second
	var took []time.Duration
	for b.Loop() {
		for range rounds {
			n++
			rate, _ := publishers(b, s, 1, each, n)
			one = append(one, rate)
			rate, all := publishers(b, s, 16, each, n)
			many, took = append(many, rate), append(took, all...)
		}
	}
	slices.Sort(took)
	b.ReportMetric(median(one), "one/s")
	b.ReportMetric(median(many), "16/s")
	b.ReportMetric(median(many)/median(one), "x-one")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99-of-16")
}

// publishers lets n of them save and publish a row of their own, and returns
// how many a second they did and how long each took.
func publishers(b *testing.B, s lv.VersionStore, n, each, round int) (rate float64, took []time.Duration) {
	began := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			row := fmt.Sprint("row ", i)
			for k := range each {
				start := time.Now()
				_, err := s.Write(b.Context(), pages, []lv.Edit{saving(row, fmt.Sprint(round, n, k))}, ann)
				if err == nil {
					_, err = s.PutRelease(b.Context(), pages, applied(lv.Production, working(row)...), ann)
				}
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return float64(n*each) / time.Since(began).Seconds(), took
}

// BenchmarkStatus measures an engine: which ten rows of many have changed, and
// which ten of 1,000. With UPKEEP_FULL=1 many are 100,000, otherwise 10,000.
func BenchmarkStatus(b *testing.B, h Harness) {
	rows := 10_000
	if os.Getenv("UPKEEP_FULL") == "1" {
		rows = 100_000
	}
	s := h.Open(b)
	few, many := lv.TableID{App: "few"}, lv.TableID{App: "many"}
	changeTen(b, s, few, 1000)
	changeTen(b, s, many, rows)
	status := func(table lv.TableID) time.Duration {
		began := time.Now()
		for range 20 {
			v := lv.View{Working: true, Status: lv.StatusChanged}
			require.Len(b, list(b, s.Rows(b.Context(), table, v)), 10)
		}
		return time.Since(began) / 20
	}
	b.ReportAllocs()
	compare(b, "of-1000", func() time.Duration { return status(few) }, func() time.Duration { return status(many) })
}

// changeTen publishes rows of a table and changes ten of them.
func changeTen(b *testing.B, s lv.VersionStore, table lv.TableID, rows int) {
	write := func(edits []lv.Edit) {
		_, err := s.Write(b.Context(), table, edits, ann)
		require.NoError(b, err)
	}
	for from := 0; from < rows; from += 1000 {
		var edits []lv.Edit
		var ids []string
		for i := from; i < from+1000; i++ {
			ids = append(ids, fmt.Sprintf("row %06d", i))
			edits = append(edits, saving(ids[len(ids)-1], "published"))
		}
		write(edits)
		_, err := s.PutRelease(b.Context(), table, applied(lv.Production, working(ids...)...), ann)
		require.NoError(b, err)
	}
	for i := range 10 {
		write([]lv.Edit{saving(fmt.Sprintf("row %06d", i*rows/10), "changed")})
	}
}

// BenchmarkHistory measures an engine: a page of the history of a row that was
// published 1,000 times, and what it was in the middle of that; beside a row
// that was published 20 times.
func BenchmarkHistory(b *testing.B, h Harness) {
	s := h.Open(b)
	short, long := publishOften(b, s, "short", 20), publishOften(b, s, "long", 1000)
	b.ReportAllocs()
	b.Run("page", func(b *testing.B) {
		page := func(row string) func() time.Duration {
			return func() time.Duration {
				began := time.Now()
				for range 20 {
					require.Len(b, first(b, 20, s.Versions(b.Context(), pages, lv.Query{Row: row})), 20)
				}
				return time.Since(began) / 20
			}
		}
		compare(b, "short", page("short"), page("long"))
	})
	b.Run("as of", func(b *testing.B) {
		asOf := func(row string, seq int64) func() time.Duration {
			return func() time.Duration {
				began := time.Now()
				for range 20 {
					require.Len(b, list(b, s.Rows(b.Context(), pages, lv.View{AsOf: seq, Rows: []string{row}})), 1)
				}
				return time.Since(began) / 20
			}
		}
		compare(b, "short", asOf("short", short), asOf("long", long))
	})
}

// publishOften publishes a row n times and returns the event in the middle.
func publishOften(b *testing.B, s lv.VersionStore, row string, n int) (middle int64) {
	for i := range n {
		_, err := s.Write(b.Context(), pages, []lv.Edit{saving(row, fmt.Sprint(i))}, ann)
		require.NoError(b, err)
		r, err := s.PutRelease(b.Context(), pages, applied(lv.Production, working(row)...), ann)
		require.NoError(b, err)
		if i == n/2 {
			middle = r.Seq
		}
	}
	return middle
}

// compare lets two workloads take turns and reports their medians in
// microseconds, and the second as a multiple of the first, whose name is given.
func compare(b *testing.B, name string, first, second func() time.Duration) {
	var one, two []float64
	for b.Loop() {
		for range rounds {
			one = append(one, float64(first().Nanoseconds())/1000)
			two = append(two, float64(second().Nanoseconds())/1000)
		}
	}
	b.ReportMetric(median(one), "µs-"+name)
	b.ReportMetric(median(two), "µs")
	b.ReportMetric(median(two)/median(one), "x-"+name)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
