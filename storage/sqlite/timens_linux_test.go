package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func init() {
	// "hold for" holds an item for a time and does nothing.
	roles["hold for"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		ttl, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		own, err := db.Locker().Acquire(context.Background(), args[1], "a child", ttl)
		if err != nil {
			return err
		}
		if _, err := db.Locker().Renew(context.Background(), own, ttl); err != nil {
			return err
		}
		fmt.Println("held")
		return proctest.Forever()
	}
	// "try" tells how the lease on an item looks, then whether it can be had.
	roles["try"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		_, err = db.Locker().Holder(context.Background(), args[1])
		fmt.Println("free:", errors.Is(err, lease.ErrFree))
		fmt.Println("taken:", take(db, args[1]) == nil)
		return nil
	}
}

// clocks are how the clocks of a time namespace are set.
var clocks = map[string][]string{
	"whose clock is ahead":               {"--monotonic", "5000"},
	"whose clock is behind":              {"--monotonic", "-60"},
	"whose processes look older":         {"--boottime", "5000"},
	"whose clocks are ahead in two ways": {"--monotonic", "90000", "--boottime", "7"},
}

// startElsewhere starts a child in a time namespace of its own.
func startElsewhere(t *testing.T, clock []string, role string, args ...string) *proctest.Child {
	t.Helper()
	unshare := func(program ...string) *exec.Cmd {
		return exec.Command("unshare", append(append([]string{"--time"}, clock...), program...)...)
	}
	here, err := os.Readlink("/proc/self/ns/time")
	needstest.Tool(t, "time namespaces (Linux 5.6)", err == nil)
	there, err := unshare("readlink", "/proc/self/ns/time").Output()
	needstest.Tool(t, "root, and unshare (util-linux)", err == nil && string(there) != here+"\n")
	return roles.StartBy(t, unshare, role, args...)
}

func TestALeaseOfAnotherTimeNamespaceIsNotTakenWhileItLives(t *testing.T) {
	t.Parallel()
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state.db")
			db := open(t, sqlite.Config{Path: path})
			ours, err := db.Locker().Acquire(t.Context(), "ours", "me", time.Hour)
			require.NoError(t, err)
			holder := startElsewhere(t, clock, "hold for", path, "theirs", "1h")
			require.Equal(t, "held", holder.Line())

			require.ErrorIs(t, take(db, "theirs"), lease.ErrHeld)
			_, err = db.Locker().Holder(t.Context(), "theirs")
			require.NoError(t, err)
			for _, item := range []string{"ours", "theirs"} {
				other := startElsewhere(t, clock, "try", path, item)
				require.Equal(t, "free: false", other.Line(), item)
				require.Equal(t, "taken: false", other.Line(), item)
			}
			_, err = db.Locker().Renew(t.Context(), ours, time.Hour)
			require.NoError(t, err)
		})
	}
}

func TestALeaseOfAnotherTimeNamespaceEndsInItsTime(t *testing.T) {
	t.Parallel()
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needstest.Pace(t, time.Second, func(ttl time.Duration) bool {
				path := filepath.Join(t.TempDir(), "state.db")
				db := open(t, sqlite.Config{Path: path})
				holder := startElsewhere(t, clock, "hold for", path, "core", ttl.String())
				require.Equal(t, "held", holder.Line())
				if err := take(db, "core"); !errors.Is(err, lease.ErrHeld) {
					require.NoError(t, err)
					return false // its time may be over
				}
				holder.Kill()
				require.Eventually(t, func() bool { return take(db, "core") == nil }, proctest.Hangs, 10*time.Millisecond)
				return true
			})
		})
	}
}
