package filelock_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filelock"
)

// TestMain makes this test a program that holds a lock for ever.
func TestMain(m *testing.M) {
	if path := os.Getenv("UPKEEP_TEST_LOCK"); path != "" {
		release, err := filelock.Acquire(context.Background(), path)
		if err != nil {
			panic(err)
		}
		fmt.Println("locked")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test that has started it ends
		_ = release()
		return
	}
	os.Exit(m.Run())
}

func TestOneAtATimeHasTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				release, err := filelock.Acquire(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				runtime.Gosched() // so that two would meet
				inside.Add(-1)
				if err := release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, most.Load())
	require.FileExists(t, path)
}

func TestWhoWaitsForALockCanStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := filelock.Acquire(t.Context(), path)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = filelock.Acquire(ctx, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "locking")
	require.NoError(t, release())
	release, err = filelock.Acquire(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, release())
}

func TestALockEndsWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "UPKEEP_TEST_LOCK="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = filelock.Acquire(ctx, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	release, err := filelock.Acquire(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, release())
}

func TestALockNeedsItsFolder(t *testing.T) {
	_, err := filelock.Acquire(t.Context(), filepath.Join(t.TempDir(), "missing", "lock"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
