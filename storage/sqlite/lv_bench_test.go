package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// twoVersions saves rows twice and returns the versions of each.
func twoVersions(b testing.TB, s lv.VersionStore, rows int) (versions [][2]lv.VersionID) {
	versions = make([][2]lv.VersionID, rows)
	for i := range 2 {
		var edits []lv.Edit
		for row := range rows {
			edits = append(edits, lv.Edit{Op: lv.OpSave, Row: fmt.Sprint("row ", row), Content: page(fmt.Sprint(row, " ", i))})
		}
		saved, err := s.Write(context.Background(), pages, edits, by)
		require.NoError(b, err)
		for row, v := range saved {
			versions[row][i] = v.ID
		}
	}
	return versions
}

// BenchmarkPublish has 16 publishers, and then one, move the pointer of a row
// in production, all of it durable (synchronous=FULL). The peer runs the same
// statements in a transaction for each.
func BenchmarkPublish(b *testing.B) {
	const rows = 2000
	ours := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "ours.db")}).Versions()
	single, closeSingle, err := sqlite.OpenAlone(filepath.Join(b.TempDir(), "single.db"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, closeSingle()) })
	contenders, keys := map[string]func(k int64) error{}, map[string]*atomic.Int64{}
	for name, s := range map[string]lv.VersionStore{"ours": ours, "single": single} {
		versions := twoVersions(b, s, rows)
		keys[name] = new(atomic.Int64)
		contenders[name] = func(k int64) error {
			row := int(k % rows)
			_, err := s.PutRelease(context.Background(), pages, lv.Release{
				State:   lv.ReleaseApplied,
				Changes: []lv.Change{{ID: fmt.Sprint("row ", row), To: versions[row][k/rows%2]}},
			}, by)
			return err
		}
	}
	for b.Loop() {
		for _, publishers := range []int{16, 1} {
			var rates, ratios, tails []float64
			for range rounds {
				rate, p99 := crowd(b, publishers, keys["ours"], contenders["ours"])
				other, otherP99 := crowd(b, publishers, keys["single"], contenders["single"])
				rates, ratios = append(rates, rate), append(ratios, rate/other)
				tails = append(tails, float64(p99)/float64(otherP99))
			}
			b.ReportMetric(median(rates), fmt.Sprintf("publish-%d/s", publishers))
			b.ReportMetric(median(ratios), fmt.Sprintf("x-single-%d", publishers))
			b.ReportMetric(median(tails), fmt.Sprintf("p99-of-single-%d", publishers))
		}
	}
}

// BenchmarkStatus lists the 10 changed rows of 100,000. Its peers are the join
// that finds them without a state kept, and itself at 1,000 rows.
func BenchmarkStatus(b *testing.B) {
	const join = `SELECT r.name FROM upkeep_lv_row r
		JOIN upkeep_lv_version w ON w.id = r.working
		LEFT JOIN upkeep_lv_version l ON l.id = r.live
		WHERE r.tbl = ?1 AND w.digest IS NOT NULL AND w.digest IS NOT l.digest ORDER BY r.name`
	dbs := map[int]*sqlite.DB{}
	for _, rows := range []int{1_000, 100_000} {
		dbs[rows] = changedRows(b, rows, 10)
	}
	status := func(rows int) time.Duration {
		start := time.Now()
		n := 0
		for _, err := range dbs[rows].Versions().Rows(b.Context(), pages, lv.View{Working: true, Status: lv.StatusChanged}) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 10, n)
		return time.Since(start)
	}
	for b.Loop() {
		var small, large, joined []time.Duration
		for range rounds {
			status(1_000)
			small = append(small, fastest(200, func() time.Duration { return status(1_000) }))
			large = append(large, fastest(200, func() time.Duration { return status(100_000) }))
			joined = append(joined, count(b, dbs[100_000], join, 10))
		}
		b.ReportMetric(float64(median(large).Microseconds()), "µs/status")
		b.ReportMetric(float64(median(joined))/float64(median(large)), "x-join")
		b.ReportMetric(float64(median(large))/float64(median(small)), "x-1000-rows")
	}
}

// changedRows opens a database whose working rows are published but for some.
func changedRows(b *testing.B, rows, changed int) *sqlite.DB {
	db := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "state.db"), Relaxed: true})
	s := db.Versions()
	for first := 0; first < rows; first += 1000 {
		var edits []lv.Edit
		var changes []lv.Change
		for row := first; row < first+1000; row++ {
			id := fmt.Sprintf("row %06d", row)
			edits = append(edits, lv.Edit{Op: lv.OpSave, Row: id, Content: page(id)})
			changes = append(changes, lv.Change{ID: id, Working: true})
		}
		_, err := s.Write(b.Context(), pages, edits, by)
		require.NoError(b, err)
		_, err = s.PutRelease(b.Context(), pages, lv.Release{State: lv.ReleaseApplied, Changes: changes}, by)
		require.NoError(b, err)
	}
	var edits []lv.Edit
	for i := range changed {
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: fmt.Sprintf("row %06d", i*rows/changed), Content: page("changed")})
	}
	_, err := s.Write(b.Context(), pages, edits, by)
	require.NoError(b, err)
	return db
}

// count runs a query that must find n rows.
func count(b *testing.B, db *sqlite.DB, query string, n int) time.Duration {
	start := time.Now()
	found := 0
	err := db.Read(b.Context(), func(tx sqlstore.Tx) error {
		found = 0
		return tx.Query(query, []any{int64(1)}, func(func(...any) error) error {
			found++
			return nil
		})
	})
	require.NoError(b, err)
	require.Equal(b, n, found)
	return time.Since(start)
}

func fastest(n int, measure func() time.Duration) time.Duration {
	best := measure()
	for range n {
		best = min(best, measure())
	}
	return best
}
