package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

func TestWatchSeesTheCommitsOfOtherProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	seen := make(chan struct{}, 1000)
	go func() {
		defer close(seen)
		for _, err := range db.Journal().Watch(t.Context(), -1) {
			if err != nil {
				return
			}
			seen <- struct{}{}
		}
	}()
	c := roles.Start(t, "acknowledge", path, "x")
	c.Line()
	select {
	case <-seen:
	case <-time.After(proctest.Hangs):
		require.Fail(t, "nothing was seen")
	}
	c.Kill()
}

// TestWatchSeesTheCommitsOfOthersWithin250Milliseconds has the others in this
// process, where time can be told: they share nothing but the file.
func TestWatchSeesTheCommitsOfOthersWithin250Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db, other := open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
		runs, rows := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(runs)
			for _, err := range db.Journal().Watch(t.Context(), -1) {
				if err != nil {
					return
				}
				runs <- struct{}{}
			}
		}()
		go func() {
			defer close(rows)
			for _, err := range db.Versions().Watch(t.Context(), -1) {
				if err != nil {
					return
				}
				rows <- struct{}{}
			}
		}()
		for i := range 20 {
			time.Sleep(time.Second + time.Duration(i)*17*time.Millisecond)
			began := time.Now()
			require.NoError(t, create(other, fmt.Sprint(i), 0))
			<-runs
			require.LessOrEqual(t, time.Since(began), 250*time.Millisecond)
			began = time.Now()
			_, err := other.Versions().Write(t.Context(), pages, []lv.Edit{saving("row", fmt.Sprint(i))}, by)
			require.NoError(t, err)
			<-rows
			require.LessOrEqual(t, time.Since(began), 250*time.Millisecond)
		}
	})
}

func TestSomebodyWhoWaitsIsWokenByTheNextCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		db.Changed(t.Context()) // begins to look for other processes, which wakes everybody once
		synctest.Wait()
		changed := db.Changed(t.Context())
		synctest.Wait()
		select {
		case <-changed:
			require.Fail(t, "nothing was committed")
		default:
		}
		began := time.Now()
		require.NoError(t, db.Write(t.Context(), insert(1)))
		<-changed
		require.Zero(t, time.Since(began), "at once, not at the next look")
	})
}

func TestNobodyLooksForCommitsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(t, sqlite.Config{Path: path})
		ctx, cancel := context.WithCancel(t.Context())
		<-db.Changed(ctx)
		db.Changed(ctx)
		time.Sleep(time.Minute)
		require.True(t, db.Polls(), "somebody waits")
		cancel()
		time.Sleep(time.Second)
		require.False(t, db.Polls())
		<-db.Changed(t.Context())
		require.True(t, db.Polls())
	})
}

func TestCloseWakesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
		require.NoError(t, err)
		changed := db.Changed(t.Context())
		require.NoError(t, db.Close())
		<-changed
		<-db.Changed(t.Context())
	})
}

func TestAWatcherThatWritesSeesItsOwnEvents(t *testing.T) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	require.NoError(t, create(db, "0", 0))
	n := 0
	for e, err := range db.Journal().Watch(t.Context(), 0) {
		require.NoError(t, err)
		require.Equal(t, update.EventStarted, e.Kind)
		if n++; n == 20 {
			break
		}
		require.NoError(t, create(db, string(rune('a'+n)), 0))
	}
	require.Equal(t, 20, n)
}

// TestAWatchBeginsAsTheLastOneEnds is for the race detector.
func TestAWatchBeginsAsTheLastOneEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
		watch := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			for _, err := range db.Journal().Watch(ctx, -1) {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}
		}
		for range 50 {
			go watch(100 * time.Millisecond)
			time.Sleep(200 * time.Millisecond) // now nobody waits, and the poll ends
			watch(time.Millisecond)
			time.Sleep(time.Second)
		}
	})
}
