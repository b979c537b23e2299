package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// heldByChild starts a process that holds an item.
func heldByChild(t *testing.T, role string) (*sqlite.DB, *proctest.Child) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	c := roles.Start(t, role, path, "core")
	require.Equal(t, "held", c.Line())
	require.ErrorIs(t, take(db, "core"), lease.ErrHeld)
	_, err := db.Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
	return db, c
}

// requireTaken checks that the item is free and can be taken, with a token
// that is greater than the first.
func requireTaken(t *testing.T, db *sqlite.DB) {
	t.Helper()
	_, err := db.Locker().Holder(t.Context(), "core")
	require.ErrorIs(t, err, lease.ErrFree)
	require.NoError(t, take(db, "core"))
	own, err := db.Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
	require.EqualValues(t, 2, own.Token)
}

func TestTheLeaseOfAKilledProcessIsTakenOverAtOnce(t *testing.T) {
	db, c := heldByChild(t, "hold")
	c.Kill()
	requireTaken(t, db)
}

func TestTheLeaseOfAZombieIsTakenOverAtOnce(t *testing.T) {
	db, c := heldByChild(t, "hold")
	require.NoError(t, c.Process.Kill())
	for range c.Lines() { // the pipe closes when it is dead; nobody waits for it yet
	}
	require.NoError(t, syscall.Kill(c.Process.Pid, 0), "it is still there")
	require.Eventually(t, func() bool {
		_, err := db.Locker().Holder(t.Context(), "core")
		return err != nil
	}, proctest.Hangs, time.Millisecond)
	requireTaken(t, db)
}

func TestTheLeaseOfAStoppedProcessIsNotTaken(t *testing.T) {
	db, c := heldByChild(t, "hold")
	require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
	require.ErrorIs(t, take(db, "core"), lease.ErrHeld)
	own, err := db.Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint("process ", c.Process.Pid), own.Owner)
}

func TestTheLeaseOfAProcessThatExecutedAnotherProgramIsTakenOverAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	c := roles.Start(t, "hold and execute", path, "core")
	require.Equal(t, "held", c.Line())
	require.Equal(t, "free", c.Line(), "the new program itself sees it so")
	require.NoError(t, syscall.Kill(c.Process.Pid, 0), "the process lives")
	_, err := db.Locker().Acquire(t.Context(), "other", "me", time.Hour)
	require.NoError(t, err)
}

func init() {
	roles["hold and execute"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		if err := take(db, args[1]); err != nil {
			return err
		}
		fmt.Println("held")
		return syscall.Exec("/proc/self/exe", append([]string{"look"}, args...), []string{proctest.Env + "=look"})
	}
	roles["look"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		if own, err := db.Locker().Holder(context.Background(), args[1]); err == nil {
			return fmt.Errorf("%q holds the item", own.Owner)
		}
		if err := take(db, args[1]); err != nil {
			return err
		}
		fmt.Println("free")
		return proctest.Forever()
	}
}

func TestALeaseIsJudgedByItsBootAndNothingThatCanJump(t *testing.T) {
	const held, free = "held", "free"
	tests := []struct {
		name string
		row  string // what is changed in it
		want string
	}{
		{"as it is", "token = token", held},
		{"of another boot", "boot = 'another'", free},
		{"of a boot without a name", "boot = ''", held},
		{"of a boot without a name whose clock was ahead", "boot = '', process = 'X', ends_us = ends_us + 7200000000", free},
		{"whose wall clock says that it is over", "expires_ms = 0", held},
		{"whose wall clock is a year ahead", "expires_ms = expires_ms + 31536000000, ends_us = 0", free},
		{"of a process nobody can judge", "process = 'X'", held},
		{"of a process of another pid namespace", "process = 'pid:[1] 4194304 1 X'", held},
		{"of a process id that is used again", "process = replace(process, ' ' || " + pid() + " || ' ', ' 1 ')", free},
		{"of a process that is gone", "process = replace(process, ' ' || " + pid() + " || ' ', ' 4194304 ')", free},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			db := open(t, sqlite.Config{Path: path})
			require.NoError(t, take(db, "core"))
			first, err := db.Locker().Holder(t.Context(), "core")
			require.NoError(t, err)
			rawly(t, path, "UPDATE upkeep_lease SET "+tt.row)

			_, err = db.Locker().Holder(t.Context(), "core")
			if tt.want == held {
				require.NoError(t, err)
				require.ErrorIs(t, take(db, "core"), lease.ErrHeld)
				_, err = db.Locker().Renew(t.Context(), first, time.Hour)
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, lease.ErrFree)
			_, err = db.Locker().Renew(t.Context(), first, time.Hour)
			require.ErrorIs(t, err, lease.ErrLost)
			requireTaken(t, db)
		})
	}
}

func pid() string { return fmt.Sprint(os.Getpid()) }
