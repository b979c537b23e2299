//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

const publishedRows = 2000

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
// statements by hand, prepared on one connection of database/sql, in a
// transaction for each.
func BenchmarkPublish(b *testing.B) {
	s := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "ours.db")}).Versions()
	hand, handVersions := newByHand(b)
	ours := &contender{versions: twoVersions(b, s, publishedRows), publish: putRelease(s)}
	theirs := &contender{versions: handVersions, publish: hand.publish}
	for _, publishers := range []int{16, 1} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			for b.Loop() {
				var rates, tails, costs [2][]float64
				for range rounds {
					for i, c := range []*contender{ours, theirs} {
						began, before := c.next.Load(), cpu(b)
						rate, p99 := crowd(b, publishers, &c.next, c.move)
						rates[i] = append(rates[i], rate)
						tails[i] = append(tails[i], float64(p99.Microseconds()))
						costs[i] = append(costs[i], float64((cpu(b)-before).Microseconds())/float64(c.next.Load()-began))
					}
				}
				rate, byHand := suitetest.Median(rates[0]), suitetest.Median(rates[1])
				p99, byHandP99 := suitetest.Median(tails[0]), suitetest.Median(tails[1])
				b.ReportMetric(rate, "publish/s")
				b.ReportMetric(byHand, "by-hand/s")
				b.ReportMetric(rate/byHand, "x-by-hand")
				b.ReportMetric(p99, "µs-p99")
				b.ReportMetric(byHandP99, "µs-p99-by-hand")
				b.ReportMetric(p99/byHandP99, "p99-of-by-hand")
				b.ReportMetric(suitetest.Median(costs[0]), "µs-cpu/publish")
				b.ReportMetric(suitetest.Median(costs[0])/suitetest.Median(costs[1]), "cpu-of-by-hand")
			}
		})
	}
}

// A contender moves the pointers of rows that have two versions each.
type contender struct {
	versions [][2]lv.VersionID
	publish  func(row string, to lv.VersionID) error
	next     atomic.Int64
}

// move moves a pointer to the version where it is not, if k only rises.
func (c *contender) move(k int64) error {
	n := int64(len(c.versions))
	return c.publish(fmt.Sprint("row ", k%n), c.versions[k%n][k/n%2])
}

func putRelease(s lv.VersionStore) func(row string, to lv.VersionID) error {
	return func(row string, to lv.VersionID) error {
		_, err := s.PutRelease(context.Background(), pages, lv.Release{
			State: lv.ReleaseApplied, Changes: []lv.Change{{Row: row, To: to}},
		}, by)
		return err
	}
}

// byHand runs the statements of a publication, as the engine runs them, in a
// transaction of its own.
type byHand struct {
	mu            sync.Mutex
	begin, commit *sql.Stmt
	find          *sql.Stmt
	write         []*sql.Stmt
}

// newByHand returns it with the versions of rows that are in its database.
func newByHand(b *testing.B) (h *byHand, versions [][2]lv.VersionID) {
	path := filepath.Join(b.TempDir(), "by-hand.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(b, err)
	versions = twoVersions(b, db.Versions(), publishedRows)
	s := &spy{DB: db.Engine()}
	publish := putRelease(sqlstore.NewVersions(s, storage.Retention{}))
	for _, to := range versions[0] { // the first looks for the table and for old events
		s.seen()
		require.NoError(b, publish("row 0", to))
	}
	statements := s.seen()
	require.Len(b, statements, 5, "%q", statements)
	require.NoError(b, db.Close())

	conn, err := peer(b, path, "FULL").Conn(b.Context())
	require.NoError(b, err)
	prepare := func(query string) *sql.Stmt {
		stmt, err := conn.PrepareContext(b.Context(), query)
		require.NoError(b, err)
		return stmt
	}
	h = &byHand{begin: prepare("BEGIN IMMEDIATE"), commit: prepare("COMMIT"), find: prepare(statements[0])}
	for _, query := range statements[1:] {
		h.write = append(h.write, prepare(query))
	}
	return h, versions
}

func (h *byHand) publish(row string, to lv.VersionID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.begin.Exec(); err != nil {
		return err
	}
	var working, from, target, seq, given, now int64
	var digest, targetDigest, content []byte
	err := h.find.QueryRow(int64(1), []byte(row), int64(to), time.Now().UnixMilli()).
		Scan(&working, &digest, &from, &target, &targetDigest, &content, &seq, &given, &now)
	if err != nil {
		return err
	}
	none := []byte{}
	for i, args := range [][]any{
		{seq, now, int64(1), "released", none, seq, []byte("ann"), given, int64(1), ""},
		{int64(1), seq, none, "applied", seq, int64(0), int64(0), now, now, none, []byte("ann"), none, none},
		{seq, int64(0), int64(1), none, []byte(row), from, int64(to), int64(0), int64(0), seq},
		{int64(1), []byte(row), int64(to), int64(1)},
	} {
		if _, err := h.write[i].Exec(args...); err != nil {
			return err
		}
	}
	_, err = h.commit.Exec()
	return err
}

// BenchmarkStatus lists the 10 changed rows of 100,000: the median time of a
// call. Its peers are the join of working rows and production that finds them without a
// state kept, itself at 1,000 rows, and a join that leaves out rows whose
// pointers are the same, which not every schema can know.
func BenchmarkStatus(b *testing.B) {
	const join = `SELECT r.name FROM upkeep_lv_row r
		JOIN upkeep_lv_version w ON w.id = r.working
		LEFT JOIN upkeep_lv_version l ON l.id = r.live
		WHERE r.tbl = ?1 AND w.digest IS NOT NULL AND w.digest IS NOT l.digest`
	small, large := changedRows(b, 1_000, 10), changedRows(b, 100_000, 10)
	lists := []func() (rows int){
		func() int { return changed(b, large) },
		func() int { return changed(b, small) },
		func() int { return found(b, large, join+" ORDER BY r.name") },
		func() int { return found(b, large, join+" AND r.working <> r.live ORDER BY r.name") },
	}
	for b.Loop() {
		took := make([][]float64, len(lists)) // µs
		turns := func(n int, from, to int) {
			for range n {
				for i := from; i < to; i++ {
					began := time.Now()
					rows := lists[i]()
					took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/1000)
					require.Equal(b, 10, rows)
				}
			}
		}
		for range rounds {
			turns(500, 0, 2)
			turns(1, 2, 4)
		}
		status := suitetest.Median(took[0])
		b.ReportMetric(status, "µs/status")
		for i, peer := range []string{"1000-rows", "join", "pointer-join"} {
			b.ReportMetric(suitetest.Median(took[1+i]), "µs/"+peer)
		}
		b.ReportMetric(status/suitetest.Median(took[1]), "x-1000-rows")
		b.ReportMetric(suitetest.Median(took[2])/status, "x-join")
		b.ReportMetric(suitetest.Median(took[3])/status, "x-pointer-join")
	}
}

// changed counts the changed rows of pages.
func changed(b *testing.B, db *sqlite.DB) (rows int) {
	for _, err := range db.Versions().Rows(b.Context(), pages, lv.View{Working: true, Status: lv.StatusChanged}) {
		require.NoError(b, err)
		rows++
	}
	return rows
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
			changes = append(changes, lv.Change{Row: id, Working: true})
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

// found counts the rows of a query about the table.
func found(b *testing.B, db *sqlite.DB, query string) (rows int) {
	err := db.Read(b.Context(), func(tx sqlstore.Tx) error {
		rows = 0
		return tx.Query(query, []any{int64(1)}, func(func(...any) error) error {
			rows++
			return nil
		})
	})
	require.NoError(b, err)
	return rows
}
