package sync_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestWhatIsBeyondALimitIsRefusedByItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		a.disk.write("n", "1")
		run := a.sync(cloudsync.Request{})
		for field, change := range map[string]func(*cloudsync.Config){
			"MaxDelete": func(c *cloudsync.Config) { c.MaxDelete.Share = math.NaN() },
			"LockTTL":   func(c *cloudsync.Config) { c.LockTTL = math.MaxInt64 },
			"Name":      func(c *cloudsync.Config) { c.Name = "a\x00b" },
		} {
			c := a.c
			change(&c)
			_, err := cloudsync.New(c)
			require.ErrorIs(t, err, cloudsync.ErrInvalid, field)
			require.ErrorContains(t, err, "Config."+field)
		}
		long := strings.Repeat("p", 1000)
		for field, r := range map[string]cloudsync.RestoreRequest{
			"Commit": {Commit: strings.Repeat("c", 257)},
			"Paths":  {Commit: run.Commit, Paths: []string{strings.Repeat(long+"/", 1100) + "x"}},
		} {
			_, err := a.Restore(t.Context(), r)
			require.ErrorIs(t, err, cloudsync.ErrInvalid, field)
			require.ErrorContains(t, err, field)
		}
		require.ErrorIs(t, a.Tag(t.Context(), "caf\xe9", run.Commit, cloudsync.By{}), cloudsync.ErrInvalid)
		_, err := a.Start(t.Context(), cloudsync.Request{By: cloudsync.By{RequestID: "a\x00"}})
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
		require.Len(t, a.runs(), 1)
	})
}

func TestAnIntervalWithoutEndIsNever(t *testing.T) {
	for range 20 { // a tenth more is no time of the past
		synctest.Test(t, func(t *testing.T) {
			a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) { c.Interval = math.MaxInt64 })
			a.running()
			time.Sleep(time.Minute)
			require.Len(t, a.runs(), 1)
		})
	}
}

// TestAFolderInAFolderKeepsItsOwn: what is synced by itself has a marker, which says
// what that folder equals, and nothing of a folder on another device.
func TestAFolderInAFolderKeepsItsOwn(t *testing.T) {
	for name, knowsCase := range map[string]bool{cloudsync.Staging: true, ".Upkeep": false} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		b.caps.CaseSensitive = knowsCase
		a.disk.write("in/"+cloudsync.Staging+"/equals", "of a")
		b.disk.write("in/n", "1")
		b.disk.write("other/"+name+"/equals", "of b")
		w.settle()
		require.Contains(t, a.disk.String(), "in/.upkeep/equals=of a")
		require.Contains(t, a.disk.String(), "in/n=1")
		require.NotContains(t, a.disk.String(), "of b")
		require.Contains(t, b.disk.String(), "other/"+name+"/equals=of b")
		require.NotContains(t, b.disk.String(), "of a")
	}
}

func TestAFileInThePlaceOfStagingIsNamed(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, cloudsync.Staging), nil, 0o600))
	files := cloudsync.Dir(path)
	_, err := files.Caps(t.Context())
	require.ErrorIs(t, err, cloudsync.ErrExists)
	require.ErrorContains(t, err, path)
}
