package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// goings are what may happen to a database that stays the same.
var goings = map[string]func(t *testing.T, s *story){
	"a restart": func(t *testing.T, s *story) { s.close() },
	"a folder that is renamed": func(t *testing.T, s *story) {
		s.close()
		folder := filepath.Dir(s.path)
		require.NoError(t, os.Rename(folder, folder+"-new"))
		s.path = filepath.Join(folder+"-new", "state.db")
	},
	"another owner and other rights": func(t *testing.T, s *story) {
		s.close()
		for _, end := range []string{"", "-history"} {
			require.NoError(t, os.Chmod(s.path+end, 0o640))
		}
	},
	"a link to it": func(t *testing.T, s *story) {
		s.close()
		link := filepath.Join(t.TempDir(), "link.db")
		require.NoError(t, os.Symlink(s.path, link))
		s.path = link
	},
	"a kill": func(t *testing.T, s *story) {
		s.close()
		c := roles.Start(t, "acknowledge", s.path, "x")
		c.Line()
		c.Kill()
	},
	"kills at the start": func(t *testing.T, s *story) {
		s.close()
		for i := range 12 {
			c := roles.Start(t, "acknowledge", s.path, "x")
			time.Sleep(time.Duration(i) * 3 * time.Millisecond)
			c.Kill()
		}
	},
	"another process": func(t *testing.T, s *story) {
		c := roles.Start(t, "acknowledge", s.path, "x")
		c.Line()
		s.close()
		s.open()
		c.Line()
		c.Kill()
		s.close()
	},
	"a kill, and a folder that is renamed": func(t *testing.T, s *story) {
		s.close()
		c := roles.Start(t, "acknowledge", s.path, "x")
		c.Line()
		c.Kill()
		folder := filepath.Dir(s.path)
		require.NoError(t, os.Rename(folder, folder+"-new"))
		s.path = filepath.Join(folder+"-new", "state.db")
	},
	"a look by SQLite's program": func(t *testing.T, s *story) {
		s.close()
		shell(t, s.path, "SELECT count(*) FROM upkeep_lv_event")
	},
}

func TestADatabaseThatGoesOnKeepsItsHistory(t *testing.T) {
	t.Parallel()
	for name, going := range goings {
		t.Run(name, func(t *testing.T) {
			s := beginStory(t)
			s.live()
			history := s.info().History
			require.NotEmpty(t, history)
			going(t, s)
			s.open()
			require.Equal(t, history, s.info().History)
			s.close()
		})
	}
}

func TestADatabaseOfALibraryThatNotedNothingGoesOn(t *testing.T) {
	for _, closed := range []bool{false, true} {
		s := beginStory(t)
		s.live()
		s.close()
		rawly(t, s.path, "DROP TABLE upkeep_history")
		require.NoError(t, os.Remove(s.path+"-history"))
		if closed { // as that library did it: with a log, which it has removed
			rawly(t, s.path, "PRAGMA journal_mode = WAL")
		}
		s.open()
		require.Zero(t, s.base(), "its numbers go on")
		s.live()
		s.close()
	}
}

func TestADatabaseThatWasInUseAndHasNoLogIsRefused(t *testing.T) {
	t.Parallel()
	losses := map[string]func(t *testing.T, path string) string{
		"a copy of the file elsewhere": func(t *testing.T, path string) string {
			other := filepath.Join(t.TempDir(), "state.db")
			copyFile(t, path, other)
			return other
		},
		"a copy beside it": func(t *testing.T, path string) string { copyFile(t, path, path+".copy"); return path + ".copy" },
		"a file that was moved without its log": func(t *testing.T, path string) string {
			require.NoError(t, os.Rename(path, path+".old"))
			return path + ".old"
		},
		"the log is removed": func(t *testing.T, path string) string {
			require.NoError(t, os.Remove(path+"-wal"))
			return path
		},
		"everything beside it is removed": func(t *testing.T, path string) string {
			for _, end := range []string{"-wal", "-shm", "-history"} {
				require.NoError(t, os.Remove(path+end))
			}
			return path
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			c := roles.Start(t, "acknowledge", path, "x")
			for range 20 {
				c.Line()
			}
			c.Kill()
			path = lose(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			for range 2 {
				_, err = sqlite.Open(sqlite.Config{Path: path})
				require.ErrorIs(t, err, storage.ErrCorrupt)
				require.ErrorContains(t, err, path+"-wal")
			}
			require.ErrorIs(t, sqlite.Restore(t.Context(), path, sqlite.Config{Path: filepath.Join(t.TempDir(), "restored.db")}), storage.ErrCorrupt)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, len(before), len(after))
			_, err = os.Stat(path + "-wal")
			require.ErrorIs(t, err, fs.ErrNotExist)
			shell(t, path, "PRAGMA journal_mode = DELETE") // as the error says
			require.NoError(t, open(t, sqlite.Config{Path: path}).Close())
		})
	}
}

func TestWhoLooksWithSQLitesProgramAfterACrashLosesNothing(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]bool{"at once": false, "when all is folded": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			c := roles.Start(t, "acknowledge", path, "x")
			acknowledged := c.Line()
			if idle {
				shell(t, path, "PRAGMA wal_checkpoint")
			}
			c.Kill()
			shell(t, path, "SELECT count(*) FROM upkeep_update_run")
			_, err := os.Stat(path + "-wal")
			require.ErrorIs(t, err, fs.ErrNotExist, "it has folded the log")
			require.Contains(t, runs(t, open(t, sqlite.Config{Path: path})), acknowledged)
		})
	}
}

func TestAFileThatWasClosedCanBeCopiedAlone(t *testing.T) {
	path := made(t)
	copied := filepath.Join(t.TempDir(), "state.db")
	copyFile(t, path, copied)
	open(t, sqlite.Config{Path: copied})
}

func TestABackupOfTheApplicationsDatabaseBeginsANewHistory(t *testing.T) {
	app, db := shop(t)
	s := &story{t: t, db: db, given: map[string]int64{}}
	s.live()
	history := s.info().History
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, db.Backup(t.Context(), backup))
	s.live()
	again, err := sqlite.Use(t.Context(), app, sqlite.Config{})
	require.NoError(t, err)
	s.db = again
	require.Equal(t, history, s.info().History, "a restart changes nothing")
	s.db, err = sqlite.Use(t.Context(), application(t, backup, ""), sqlite.Config{})
	require.NoError(t, err)
	require.NotEqual(t, history, s.info().History)
	s.live()
}

func TestWhatAnotherProcessIsAboutToNoteIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	noted, err := os.ReadFile(path + "-history")
	require.NoError(t, err)
	both := "another\n" + string(noted)
	require.NoError(t, os.WriteFile(path+"-history", []byte(both), 0o600))
	require.NoError(t, db.CleanBeside(t.Context()))
	kept, err := os.ReadFile(path + "-history")
	require.NoError(t, err)
	require.Equal(t, both, string(kept), "it may be killed before it is noted")
}

func TestWhatAKilledProcessHasLeftBesideIsGone(t *testing.T) {
	path := made(t)
	require.NoError(t, os.WriteFile(path+"-history.tmp", []byte("half"), 0o600))
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{path, path + "-history"}, files)
}
