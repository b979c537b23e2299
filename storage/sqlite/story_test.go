package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

var shown = lv.TableID{App: "app", Schema: "table"}

// story is a database that is used, copied and put back.
type story struct {
	t     *testing.T
	path  string
	db    *sqlite.DB
	n     int
	given map[string]int64 // the greatest number of each kind
}

func beginStory(t *testing.T) *story {
	folder := filepath.Join(t.TempDir(), "app")
	require.NoError(t, os.Mkdir(folder, 0o700))
	s := &story{t: t, path: filepath.Join(folder, "state.db"), given: map[string]int64{}}
	s.open()
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

func (s *story) open() {
	s.t.Helper()
	var err error
	s.db, err = sqlite.Open(sqlite.Config{Path: s.path})
	require.NoError(s.t, err)
}

func (s *story) close() { s.t.Helper(); require.NoError(s.t, s.db.Close()) }

func (s *story) give(kind string, number int64) {
	s.t.Helper()
	require.Greater(s.t, number, s.given[kind], "%s: it was given before", kind)
	s.given[kind] = number
}

// live makes one of everything that has a number.
func (s *story) live() {
	s.t.Helper()
	s.n++
	ctx, by := s.t.Context(), lv.By{Actor: "ada"}
	items := []string{"core", "later"} // the second is not in what is restored, mostly
	for _, item := range items[:min(s.n, len(items))] {
		lease, err := s.db.Locker().Acquire(ctx, item, "me", time.Hour)
		require.NoError(s.t, err)
		s.give("token of "+item, lease.Token)
		require.NoError(s.t, s.db.Locker().Release(ctx, lease))
	}
	id := fmt.Sprint("run", s.n, time.Now().UnixNano())
	_, err := s.db.Journal().Create(ctx, update.Run{
		ID: id, Package: "demo/site", Item: "of " + id, State: update.StateRunning, Token: 1,
	}, update.Event{Kind: update.EventStarted})
	require.NoError(s.t, err)
	versions, err := s.db.Versions().Write(ctx, shown, []lv.Edit{{Op: lv.OpSave, Row: "row", Content: fmt.Appendf(nil, "%d", time.Now().UnixNano())}}, by)
	require.NoError(s.t, err)
	s.give("version", int64(versions[0].ID))
	release, err := s.db.Versions().PutRelease(ctx, shown, lv.Release{
		State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "row", To: versions[0].ID}},
	}, by)
	require.NoError(s.t, err)
	s.give("release", release.ID)
	strategy, err := s.db.Versions().PutStrategy(ctx, shown, lv.Strategy{Row: "row", Target: versions[0].ID}, by)
	require.NoError(s.t, err)
	s.give("strategy", strategy.ID)
	s.give("event of lv", s.info().Seq)
	s.give("event of update", s.lastUpdate(id))
}

func (s *story) info() lv.TableInfo {
	s.t.Helper()
	for info, err := range s.db.Versions().Tables(s.t.Context(), shown) {
		require.NoError(s.t, err)
		return info
	}
	require.Fail(s.t, "no table")
	return lv.TableInfo{}
}

// lastUpdate returns the number of the event of a run, by whatever way there is.
func (s *story) lastUpdate(id string) (seq int64) {
	s.t.Helper()
	for after := range s.cursors("event of update") {
		for e, err := range s.db.Journal().Watch(s.t.Context(), after) {
			if err != nil {
				require.ErrorIs(s.t, err, update.ErrCompacted)
				break
			}
			if e.Run == id {
				return e.Seq
			}
		}
	}
	require.Fail(s.t, "no event")
	return 0
}

// cursors are where a reader may begin: at a known event, else where a history
// begins.
func (s *story) cursors(kind string) map[int64]bool {
	newest := s.given[kind]
	return map[int64]bool{newest: true, s.base(): true}
}

func (s *story) base() (base int64) {
	s.t.Helper()
	base, err := s.db.Base(s.t.Context())
	require.NoError(s.t, err)
	return base
}

// told reports what a reader at an event is told: an event, or ErrCompacted.
func (s *story) told(f feed, after int64) (seq int64, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), proctest.Hangs)
	defer cancel()
	f.watch(ctx, s.db, after, func(n int64, e error) bool { seq, err = n, e; return false })
	return seq, err
}

// copyFile copies into a file that may be there, as cp does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	info, err := os.Stat(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
	require.NoError(t, os.Chtimes(to, info.ModTime(), info.ModTime())) // as cp -a does
}

// copyFolder copies into a folder that may be there.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-shm") {
			copyFile(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		}
	}
}
