package update_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the peer of BenchmarkSteps

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

const rounds = 5

// BenchmarkSteps measures a run of 1,000 steps that do nothing, on SQLite with
// synchronous=FULL, against 2,000 transactions of one INSERT on the same file
// system with the same pragmas, in interleaved rounds.
func BenchmarkSteps(b *testing.B) {
	const n = 1000
	dir := b.TempDir()
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db")})
	require.NoError(b, err)
	defer db.Close()
	steps := make([]update.Step, n)
	for i := range steps {
		steps[i] = update.Step{Name: strconv.Itoa(i), Do: nothing}
	}
	installed := ""
	u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
		Name: "app", Source: versions{"1.0.0"}, Steps: steps,
		Current: func(context.Context) (string, error) { return installed, nil },
	}}})
	require.NoError(b, err)
	defer u.Close()
	bare := openBare(b, filepath.Join(dir, "bare.db"))
	for b.Loop() {
		var ours, peer []time.Duration
		for range rounds {
			start := time.Now()
			_, err := u.Update(b.Context(), update.Request{Package: "app"})
			require.NoError(b, err)
			ours = append(ours, time.Since(start))
			start = time.Now()
			for range 2 * n {
				bare()
			}
			peer = append(peer, time.Since(start))
		}
		b.ReportMetric(float64(suitetest.Median(ours))/float64(suitetest.Median(peer)), "x-bare")
		b.ReportMetric(float64(suitetest.Median(ours).Microseconds())/n, "µs/step")
	}
}

// openBare returns a function that commits one row by prepared statements.
func openBare(b *testing.B, path string) func() {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	require.NoError(b, err)
	b.Cleanup(func() { db.Close() })
	conn, err := db.Conn(b.Context())
	require.NoError(b, err)
	_, err = conn.ExecContext(b.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT")
	require.NoError(b, err)
	prepare := func(query string) func(...any) {
		s, err := conn.PrepareContext(b.Context(), query)
		require.NoError(b, err)
		return func(args ...any) {
			_, err := s.ExecContext(context.Background(), args...)
			require.NoError(b, err)
		}
	}
	begin, insert, commit := prepare("BEGIN IMMEDIATE"), prepare("INSERT INTO t (record) VALUES (?1)"), prepare("COMMIT")
	record := strings.Repeat("x", 200)
	return func() {
		begin()
		insert(record)
		commit()
	}
}
