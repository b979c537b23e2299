package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// restores are ways to bring back an older state, which is known.
var restores = map[string]func(t *testing.T, s *story){
	"Restore": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: s.path}))
	},
	"Restore of a file that was closed": func(t *testing.T, s *story) {
		s.close()
		copyFile(t, s.path, s.path+".copy")
		s.open()
		s.live()
		s.close()
		require.NoError(t, sqlite.Restore(t.Context(), s.path+".copy", sqlite.Config{Path: s.path}))
	},
	"a backup that is moved": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		require.NoError(t, os.Rename(backup, s.path))
	},
	"a backup that is copied in place": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		copyFile(t, backup, s.path)
	},
	"a backup that is opened where it is": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		s.path = backup
	},
	"a backup from which a backup was made": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		s.path = backup
		s.open()
		second := s.backup()
		s.live()
		s.close()
		s.path = second
	},
	"a file that is copied in place": func(t *testing.T, s *story) {
		s.close()
		copyFile(t, s.path, s.path+".copy")
		s.open()
		s.live()
		s.close()
		copyFile(t, s.path+".copy", s.path)
	},
	"a file that is moved": func(t *testing.T, s *story) {
		s.close()
		copyFile(t, s.path, s.path+".copy")
		s.open()
		s.live()
		s.close()
		require.NoError(t, os.Rename(s.path+".copy", s.path))
	},
	"a file that is opened under another name": func(t *testing.T, s *story) {
		s.close()
		copyFile(t, s.path, s.path+".copy")
		s.open()
		s.live()
		s.close()
		s.path += ".copy"
	},
	"a folder that is moved": func(t *testing.T, s *story) {
		s.close()
		folder := filepath.Dir(s.path)
		copyFolder(t, folder, folder+".copy")
		s.open()
		s.live()
		s.close()
		require.NoError(t, os.RemoveAll(folder))
		require.NoError(t, os.Rename(folder+".copy", folder))
	},
	"a folder that is copied in place": func(t *testing.T, s *story) {
		s.close()
		folder := filepath.Dir(s.path)
		copyFolder(t, folder, folder+".copy")
		s.open()
		s.live()
		s.close()
		copyFolder(t, folder+".copy", folder)
	},
	"a folder that was copied while it was in use": func(t *testing.T, s *story) {
		folder := filepath.Dir(s.path)
		copyFolder(t, folder, folder+".copy")
		s.live()
		s.close()
		copyFolder(t, folder+".copy", folder)
	},
	"a folder of another machine": func(t *testing.T, s *story) {
		s.close()
		folder := filepath.Dir(s.path)
		copyFolder(t, folder, folder+".copy")
		s.open()
		s.live()
		s.close()
		s.path = filepath.Join(folder+".copy", "state.db")
	},
	"twice from the same backup": func(t *testing.T, s *story) {
		backup := s.backup()
		s.live()
		s.close()
		require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: s.path}))
		s.open()
		s.live()
		s.close()
		require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: s.path}))
	},
	"what somebody says is another state": func(t *testing.T, s *story) {
		s.close()
		require.NoError(t, os.Remove(s.path+"-history"))
	},
}

func (s *story) backup() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "backup.db")
	require.NoError(s.t, s.db.Backup(s.t.Context(), path))
	return path
}

func TestARestoredDatabaseBeginsANewHistory(t *testing.T) {
	for name, restore := range restores {
		t.Run(name, func(t *testing.T) {
			s := beginStory(t)
			if strings.HasPrefix(name, "a folder") {
				needstest.Tool(t, "a file system that says when a file was made", sqlite.KnowsWhenAFileWasMade(s.path))
			}
			s.live()
			name, kept := s.info().History, s.info().Seq
			restore(t, s)
			lost := map[string]int64{"lv": s.given["event of lv"], "update": s.given["event of update"]}
			s.open()
			require.NotEqual(t, name, s.info().History)
			for domain, f := range feeds {
				if lost[domain] > s.last(f) { // of a history that is lost
					_, err := s.told(f, lost[domain])
					require.ErrorIs(t, err, f.compacted, "%s: at once", domain)
				}
			}
			s.live() // with numbers that were never given
			s.live()
			for domain, f := range feeds {
				for _, after := range []int64{1, kept, lost[domain] - 1, lost[domain]} {
					for seq, err := s.told(f, after); err == nil; seq, err = s.told(f, seq) {
						require.LessOrEqual(t, seq, kept, "%s: after %d", domain, after)
					}
				}
			}
			for seq := kept + 1; seq <= lost["lv"] && lost["lv"] < 1000; seq++ {
				for _, err := range s.db.Versions().Rows(t.Context(), shown, lv.View{AsOf: seq}) {
					require.ErrorIs(t, err, lv.ErrCompacted, "as of event %d", seq)
				}
			}
			for row, err := range s.db.Versions().Rows(t.Context(), shown, lv.View{AsOf: kept}) {
				require.NoError(t, err, "the past that there was can be read")
				require.EqualValues(t, 1, row.Version)
			}
			history := s.info().History
			s.close()
			s.open()
			require.Equal(t, history, s.info().History, "it is begun once")
			s.live()
			s.close()
		})
	}
}

func TestByASlowClockNoNumberIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in 2000, as on a machine whose clock nobody has set
		folder := t.TempDir()
		c, backup := sqlite.Config{Path: filepath.Join(folder, "state.db")}, filepath.Join(folder, "backup.db")
		db, err := sqlite.Open(c)
		require.NoError(t, err)
		require.NoError(t, create(db, "run", 0))
		require.NoError(t, db.Backup(context.Background(), backup))
		require.NoError(t, db.Close())
		bases := map[int64]bool{}
		for range 5 {
			require.NoError(t, sqlite.Restore(context.Background(), backup, c))
			db, err := sqlite.Open(c)
			require.NoError(t, err)
			base, err := db.Base(context.Background())
			require.NoError(t, err)
			require.NoError(t, db.Close())
			require.Less(t, base, int64(1)<<53, "JavaScript can hold it")
			bases[base] = true
		}
		require.Len(t, bases, 5)
	})
}

// last returns the newest event that there is of a feed.
func (s *story) last(f feed) int64 {
	s.t.Helper()
	newest, err := s.db.Newest(s.t.Context(), f.table)
	require.NoError(s.t, err)
	return newest
}
