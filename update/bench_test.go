package update_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the peer of BenchmarkSteps

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

const rounds = 5

func median[T int64 | float64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

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
	u, err := update.New(update.Config{Locker: db.Locker(), Journal: db.Journal(), Packages: []update.Package{{
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
		b.ReportMetric(float64(median(ours))/float64(median(peer)), "x-bare")
		b.ReportMetric(float64(median(ours).Microseconds())/n, "µs/step")
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

// BenchmarkHandOver measures the time from just before Release to the moment
// when the next waiter has the item, of the same process and of another one
// on the same SQLite file. The metrics are medians in microseconds.
func BenchmarkHandOver(b *testing.B) {
	if path := os.Getenv("UPKEEP_TEST_HAND_OVER"); path != "" {
		waitAtCommand(path)
		return
	}
	path := filepath.Join(b.TempDir(), "upkeep.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(b, err)
	defer db.Close()
	other := startWaiter(b, path)
	for b.Loop() {
		var inside, across []time.Duration
		for range rounds * 20 {
			inside = append(inside, handOver(b, db.Locker(), func() func() int64 {
				got := make(chan int64)
				go func() {
					held, err := update.Hold(context.Background(), db.Locker(), "item", update.HoldConfig{Wait: true})
					now := time.Now().UnixNano()
					if err == nil {
						err = held.Release()
					}
					if err != nil {
						b.Error(err)
					}
					got <- now
				}()
				return func() int64 { return <-got }
			}))
			across = append(across, handOver(b, db.Locker(), other))
		}
		b.ReportMetric(float64(median(inside).Nanoseconds())/1e3, "µs-inside-p50")
		b.ReportMetric(float64(median(across).Nanoseconds())/1e3, "µs-across-p50")
	}
}

// handOver holds the item, has wait begin to wait for it, and returns how long
// after the release the waiter had it.
func handOver(b *testing.B, l update.Locker, wait func() func() int64) time.Duration {
	b.Helper()
	held, err := update.Hold(b.Context(), l, "item", update.HoldConfig{Wait: true})
	require.NoError(b, err)
	got := wait()
	time.Sleep(15 * time.Millisecond) // for the waiter to stand in line
	released := time.Now().UnixNano()
	require.NoError(b, held.Release())
	return time.Duration(got() - released)
}

// startWaiter starts another process that waits for the item on command.
func startWaiter(b *testing.B, path string) func() func() int64 {
	b.Helper()
	child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkHandOver$", "-test.benchtime=1x")
	child.Env = append(os.Environ(), "UPKEEP_TEST_HAND_OVER="+path)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(b, err)
	out, err := child.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, child.Start())
	b.Cleanup(func() { in.Close(); child.Wait() })
	lines := bufio.NewScanner(out)
	return func() func() int64 {
		_, err := fmt.Fprintln(in, "wait")
		require.NoError(b, err)
		return func() int64 {
			for lines.Scan() {
				if text, ok := strings.CutPrefix(lines.Text(), "got "); ok {
					ns, err := strconv.ParseInt(text, 10, 64)
					require.NoError(b, err)
					return ns
				}
			}
			b.Fatal("the waiting process has ended")
			return 0
		}
	}
}

// waitAtCommand is the other process: for each line it waits for the item and
// says when it got it.
func waitAtCommand(path string) {
	db, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		panic(err)
	}
	defer db.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		held, err := update.Hold(context.Background(), db.Locker(), "item", update.HoldConfig{Wait: true})
		if err != nil {
			panic(err)
		}
		now := time.Now().UnixNano()
		if err := held.Release(); err != nil {
			panic(err)
		}
		fmt.Printf("\ngot %d\n", now)
	}
}
