package sqlite_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// spiedRemotes are Remotes whose statements are seen.
func spiedRemotes(t *testing.T) (*sqlite.DB, *spy, *sqlstore.SyncRemotes) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	for range db.Remotes().List(t.Context()) { // makes the tables
	}
	spy := &spy{DB: db.Engine()}
	return db, spy, sqlstore.NewSyncRemotes(spy)
}

func readPart(t *testing.T, r cloudsync.Remote, name string, off, n int64) []byte {
	t.Helper()
	in, err := r.Get(t.Context(), name, off, n)
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	return data
}

func TestAPartOfAnObjectCostsNoMoreThanItsPieces(t *testing.T) {
	_, spy, s := spiedRemotes(t)
	require.NoError(t, s.Create(t.Context(), "one"))
	r, err := s.Open(t.Context(), "one")
	require.NoError(t, err)
	content := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	require.NoError(t, r.PutIfAbsent(t.Context(), "large", bytes.NewReader(content)))
	require.NoError(t, r.PutIfAbsent(t.Context(), "small", bytes.NewReader(content[:100])))
	const piece = 256 << 10
	for _, tt := range []struct {
		name       string
		off, n     int64
		statements int
	}{
		{"small", 0, -1, 1}, {"large", 0, 1, 1}, {"large", 3 * piece, piece, 1}, {"large", 3*piece + 5, piece, 2}, {"large", 5<<20 - 7, 100, 1},
		{"large", 0, 0, 1}, {"large", 6 << 20, -1, 1}, {"large", 0, -1, 20},
	} {
		spy.seen()
		got := readPart(t, r, tt.name, tt.off, tt.n)
		require.Len(t, spy.seen(), tt.statements, "%s: %d from %d", tt.name, tt.n, tt.off)
		want := content
		if tt.name == "small" {
			want = content[:100]
		}
		want = want[min(tt.off, int64(len(want))):]
		if tt.n >= 0 {
			want = want[:min(tt.n, int64(len(want)))]
		}
		require.True(t, bytes.Equal(want, got))
	}
}

func TestNoStatementOfFoldersAndRemotesReadsAWholeTable(t *testing.T) {
	db, spy, s := spiedRemotes(t)
	f := sqlstore.NewSyncFolder(spy, storage.Retention{Events: 5}, "notes")
	for i := range 20 {
		_, err := f.Update(t.Context(), int64(i), []cloudsync.Entry{{Key: "a", Value: []byte("1")}, {Key: "b"}}, cloudsync.Event{})
		require.NoError(t, err)
	}
	for _, err := range f.List(t.Context(), "a") {
		require.NoError(t, err)
	}
	for range f.Watch(t.Context(), 18) {
		break
	}
	for _, name := range []string{"one", "two"} {
		require.NoError(t, s.Create(t.Context(), name))
		require.ErrorIs(t, s.Create(t.Context(), strings.ToUpper(name)), cloudsync.ErrExists)
		for _, r := range []cloudsync.Remote{s.Remote(name), opened(t, s, name)} {
			require.NoError(t, r.PutIfAbsent(t.Context(), "d/small", bytes.NewReader(nil)))
			require.NoError(t, r.PutIfAbsent(t.Context(), "d/large", zeros(20<<20)))
			require.ErrorIs(t, r.PutIfAbsent(t.Context(), "d/large", zeros(20<<20)), cloudsync.ErrExists)
			readPart(t, r, "d/large", 1<<20, 300<<10)
			for _, err := range r.List(t.Context(), "d/", "d/a") {
				require.NoError(t, err)
			}
			require.NoError(t, r.Delete(t.Context(), "d/large"))
			require.NoError(t, r.Delete(t.Context(), "d/small"))
			require.NoError(t, r.PutIfAbsent(t.Context(), "d/"+name, bytes.NewReader(nil)))
			require.NoError(t, r.Delete(t.Context(), "d/"+name))
		}
	}
	require.NoError(t, s.Remote("one").PutIfAbsent(t.Context(), "left", zeros(20<<20)))
	for range s.List(t.Context()) {
	}
	require.NoError(t, s.Remove(t.Context(), "one"))
	seen := spy.seen()
	require.Contains(t, strings.Join(seen, "\n"), "DELETE FROM upkeep_sync_event")
	require.Contains(t, strings.Join(seen, "\n"), "UPDATE upkeep_sync_loose SET touched_ms = 0")
	for _, query := range seen {
		for _, step := range plan(t, db, query) {
			if strings.HasPrefix(step, "SCAN") {
				require.Contains(t, []string{"SCAN upkeep_history", "SCAN h", "SCAN CONSTANT ROW"}, step, query)
			}
			require.NotContains(t, step, "TEMP B-TREE", query)
		}
	}
}

func opened(t *testing.T, s cloudsync.Remotes, name string) cloudsync.Remote {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	require.NoError(t, err)
	return r
}

// zeros is a body.
type zeros int64

func (z zeros) Size() int64 { return int64(z) }

func (z zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// rows counts those of the tables of bodies.
func rows(t *testing.T, db *sqlite.DB) (n [3]int64) {
	t.Helper()
	for i, table := range []string{"upkeep_sync_object", "upkeep_sync_piece", "upkeep_sync_loose"} {
		require.NoError(t, db.Engine().Row(t.Context(), "SELECT count(*) FROM "+table, nil, &n[i]))
	}
	return n
}

// stalling is a body that does something before it is read at an offset.
type stalling struct {
	zeros
	at int64
	do func()
}

func (s stalling) ReadAt(p []byte, off int64) (int, error) {
	if off <= s.at && s.at < off+int64(len(p)) {
		s.do()
	}
	return s.zeros.ReadAt(p, off)
}

func TestWhatIsDeletedAndWhatFailsLeavesNoPieces(t *testing.T) {
	db, _, s := spiedRemotes(t)
	r := s.Remote("one")
	require.NoError(t, r.PutIfAbsent(t.Context(), "huge", zeros(40<<20)))
	require.Equal(t, [3]int64{1, 160, 0}, rows(t, db))
	ctx, cancel := context.WithCancel(t.Context())
	err := r.PutIfAbsent(ctx, "late", stalling{zeros(20 << 20), 17 << 20, cancel})
	require.ErrorIs(t, err, context.Canceled)
	err = r.PutIfAbsent(t.Context(), "raced", stalling{zeros(20 << 20), 17 << 20, func() {
		require.NoError(t, s.Remote("one").PutIfAbsent(t.Context(), "raced", zeros(1)))
	}})
	require.ErrorIs(t, err, cloudsync.ErrExists)
	require.Equal(t, [3]int64{2, 161, 0}, rows(t, db))
	require.NoError(t, r.Delete(t.Context(), "huge"))
	require.NoError(t, r.Delete(t.Context(), "raced"))
	require.Equal(t, [3]int64{}, rows(t, db))
}

// TestAnUploadOfAKilledProcessGoesAfterADay, and one that still goes on does not.
func TestAnUploadOfAKilledProcessGoesAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, _, s := spiedRemotes(t)
		r := s.Remote("one")
		err := r.PutIfAbsent(t.Context(), "slow", stalling{zeros(12 << 20), 9 << 20, func() {
			time.Sleep(23 * time.Hour)
			require.NoError(t, r.PutIfAbsent(t.Context(), "other", zeros(5<<20)))
		}})
		require.NoError(t, err)
		require.Len(t, readPart(t, r, "slow", 0, -1), 12<<20)
		before := rows(t, db)
		err = r.PutIfAbsent(t.Context(), "dead", stalling{zeros(12 << 20), 9 << 20, func() {
			require.Equal(t, [3]int64{before[0], before[1] + 32, 1}, rows(t, db))
			time.Sleep(25 * time.Hour)
			require.NoError(t, r.PutIfAbsent(t.Context(), "another", zeros(5<<20)))
			require.Equal(t, [3]int64{before[0] + 1, before[1] + 20, 0}, rows(t, db))
		}})
		require.ErrorIs(t, err, cloudsync.ErrStale, "it never comes out with a hole")
		_, err = r.Get(t.Context(), "dead", 0, -1)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	})
}

func TestADamagedBodyIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path, Relaxed: true})
	r := db.Remote("one")
	require.NoError(t, r.PutIfAbsent(t.Context(), "a", zeros(600<<10)))
	damage(t, path, `UPDATE upkeep_sync_piece SET content = substr(content, 2) WHERE n = ?`, 1)
	in, err := r.Get(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	_, err = io.ReadAll(in)
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	require.Len(t, readPart(t, r, "a", 0, 256<<10), 256<<10)
	damage(t, path, `DELETE FROM upkeep_sync_piece WHERE n = ?`, 0)
	_, err = r.Get(t.Context(), "a", 0, 1)
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
}

func TestAReadNeverGoesOnWithAnotherBody(t *testing.T) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	r := db.Remote("one")
	require.NoError(t, r.PutIfAbsent(t.Context(), "a", zeros(600<<10)))
	in, err := r.Get(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	require.NoError(t, r.Delete(t.Context(), "a"))
	require.NoError(t, r.PutIfAbsent(t.Context(), "a", bytes.NewReader(bytes.Repeat([]byte{1}, 600<<10))))
	data, err := io.ReadAll(in)
	require.ErrorIs(t, err, cloudsync.ErrNotFound, "it never goes on with another body")
	require.Equal(t, make([]byte, len(data)), data)
}
