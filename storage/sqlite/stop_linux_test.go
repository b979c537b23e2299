package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// machineTime is the same in all processes.
func machineTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func init() {
	// "act while holding", for leases of a time to live, asks before each act whether it may, and says at the
	// end when it last began to ask and was told that it may.
	roles["act while holding"] = func(args []string) error {
		ttl, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		held, err := lease.Hold(context.Background(), db.Locker(), args[1], lease.HoldConfig{TTL: ttl})
		if errors.Is(err, lease.ErrLost) { // the reply took longer
			fmt.Println("lost:", err)
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Println("held")
		asked := machineTime()
		for held.Context().Err() == nil {
			time.Sleep(time.Millisecond)
			fmt.Println(int64(asked))
			asked = machineTime()
		}
		fmt.Println("lost:", context.Cause(held.Context()))
		return nil
	}
}

func TestAHolderThatWasStoppedDoesNothingOnceAnotherHasTheItem(t *testing.T) {
	t.Parallel()
	for range 5 {
		needstest.Pace(t, 400*time.Millisecond, func(ttl time.Duration) bool { return stopHolder(t, ttl) })
	}
}

// stopHolder is false if the holder was too slow to keep its lease.
func stopHolder(t *testing.T, ttl time.Duration) bool {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	c := roles.Start(t, "act while holding", path, "core", ttl.String())
	first := c.Line()
	if strings.HasPrefix(first, "lost:") {
		return false
	}
	require.Equal(t, "held", first)
	for range 20 { // it acts
		if strings.HasPrefix(c.Line(), "lost:") {
			return false
		}
	}
	require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
	other, err := lease.Hold(t.Context(), db.Locker(), "core", lease.HoldConfig{Wait: true})
	require.NoError(t, err)
	taken := machineTime()
	require.NoError(t, c.Process.Signal(syscall.SIGCONT))
	var last time.Duration
	for line := c.Line(); ; line = c.Line() {
		var at int64
		if _, err := fmt.Sscan(line, &at); err != nil {
			require.Equal(t, "lost: lease: lost", line)
			break
		}
		last = time.Duration(at)
	}
	require.Less(t, last, taken, "it acted after another had the item")
	require.NoError(t, other.Release())
	return true
}
