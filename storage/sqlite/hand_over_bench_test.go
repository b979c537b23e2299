package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

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
	var turns lease.Line
	for b.Loop() {
		var inside, across []time.Duration
		for range 100 {
			inside = append(inside, handOver(b, db.Locker(), &turns, func() func() int64 {
				got := make(chan int64)
				go func() {
					held, err := lease.Hold(context.Background(), db.Locker(), "item", lease.HoldConfig{Wait: true, Line: &turns})
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
			across = append(across, handOver(b, db.Locker(), &turns, other))
		}
		b.ReportMetric(float64(suitetest.Median(inside).Nanoseconds())/1e3, "µs-inside-p50")
		b.ReportMetric(float64(suitetest.Median(across).Nanoseconds())/1e3, "µs-across-p50")
	}
}

// handOver holds the item, has wait begin to wait for it, and returns how long
// after the release the waiter had it.
func handOver(b *testing.B, l lease.Locker, turns *lease.Line, wait func() func() int64) time.Duration {
	b.Helper()
	held, err := lease.Hold(b.Context(), l, "item", lease.HoldConfig{Wait: true, Line: turns})
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
		held, err := lease.Hold(context.Background(), db.Locker(), "item", lease.HoldConfig{Wait: true})
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
