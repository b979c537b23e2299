package step_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// onWrite is called whenever somebody writes to it.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// ordering has begun to order all the time when it returns, until stop is called.
func ordering(db *sql.DB, order func(db *sql.DB, title string)) (stop func()) {
	stopped, started := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			order(db, fmt.Sprint("order ", i))
			if i == 0 {
				close(started)
			}
			for range 20 { // leaves the lock to others
				_, _ = db.Exec("SELECT count(*) FROM page")
			}
			select {
			case <-stopped:
				return
			default:
			}
		}
	})
	<-started
	return func() { close(stopped); writer.Wait() }
}

func TestSQLiteRestoreLosesNoRowThatWasAcknowledged(t *testing.T) {
	for _, journal := range []string{"journal_mode(WAL)", "journal_mode(DELETE)"} {
		t.Run(journal, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "site.db")
			db := openDB(t, path, journal, "busy_timeout(180000)")
			execSQL(t, db, "CREATE TABLE page (title TEXT)", "INSERT INTO page VALUES ('first')")
			s, tk := step.SQLite{DB: db, Dir: filepath.Join(dir, "copies")}, task("one", "1.1.0")
			name, err := s.Save(t.Context(), tk)
			require.NoError(t, err)
			execSQL(t, db, many)

			var written []string // acknowledged
			var mu sync.Mutex
			order := func(db *sql.DB, title string) {
				if _, err := db.Exec("INSERT INTO page VALUES (?)", title); err == nil {
					mu.Lock()
					defer mu.Unlock()
					written = append(written, title)
				}
			}
			// One writer at the moment that is hard to hit, and one all the time.
			hasty := openDB(t, path, "busy_timeout(0)")
			tk.Log = onWrite(func() { order(hasty, "in between") })
			stop := ordering(openDB(t, path, "busy_timeout(180000)", "synchronous(OFF)"), order)
			err = s.Restore(t.Context(), tk, name)
			stop()
			require.NoError(t, err)

			found := values(t, db, "SELECT title FROM page")
			require.Contains(t, found, "first")
			replaced := copies(t, s)[0]
			require.Contains(t, replaced, "-replaced-")
			kept := openDB(t, filepath.Join(s.Dir, replaced))
			require.Equal(t, []string{"ok"}, values(t, kept, "PRAGMA integrity_check"))
			found = append(found, values(t, kept, "SELECT title FROM page")...)
			for _, title := range written {
				require.True(t, slices.Contains(found, title), title)
			}
		})
	}
}

func TestSQLiteWorksWithASingleConnection(t *testing.T) {
	db, s := site(t)
	db.SetMaxOpenConns(1)
	tk := task("one", "1.1.0")
	require.NoError(t, s.Check(t.Context()))
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)
	execSQL(t, db, "INSERT INTO page VALUES ('second')")
	require.NoError(t, s.Restore(t.Context(), tk, name))
	require.Equal(t, []string{"first"}, values(t, db, "SELECT title FROM page"))
}

func TestSQLiteRestoresADatabaseOfMoreThanAGigabyte(t *testing.T) {
	if os.Getenv("UPKEEP_HUGE") != "1" {
		t.Skip("takes 4 GB of disk: set UPKEEP_HUGE=1")
	}
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "site.db"), "page_size(65536)", "journal_mode(OFF)", "synchronous(OFF)")
	execSQL(t, db, "CREATE TABLE page (title TEXT, text BLOB)")
	for range 3 {
		execSQL(t, db, "INSERT INTO page VALUES ('large', zeroblob(400000000))")
	}
	s, tk := step.SQLite{DB: db, Dir: filepath.Join(dir, "copies")}, task("one", "1.1.0")
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)
	execSQL(t, db, "INSERT INTO page VALUES ('late', NULL)")
	require.NoError(t, s.Restore(t.Context(), tk, name))
	replaced := openDB(t, filepath.Join(s.Dir, copies(t, s)[0]))
	for db, rows := range map[*sql.DB]int{db: 3, replaced: 4} {
		require.Len(t, values(t, db, "SELECT title FROM page"), rows)
		require.Equal(t, []string{"ok"}, values(t, db, "PRAGMA integrity_check"))
	}
}

func TestSQLiteKeepsTheCopyThatARollbackNeeds(t *testing.T) {
	t.Parallel()
	const applies, changesNothing, breaks = "CREATE TABLE more (x);", "", "INSERT INTO nowhere VALUES (1);"
	for name, sql := range map[string]string{
		"whose migrations were undone": applies, "which had none": changesNothing, "whose migration is broken": breaks,
	} {
		t.Run("in spite of failed runs "+name, func(t *testing.T) {
			db, s := site(t)
			content := map[string]string{"0001_news.sql": first}
			fails := false
			u := newUpdater(t,
				step.BackupSQLite(s),
				step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content), Backup: s}),
				update.Step{Name: "health", Do: func(context.Context, *update.Task) error {
					if fails {
						return errors.New("not well")
					}
					return nil
				}})
			_, err := install(t.Context(), u, "1.0.0")
			require.NoError(t, err)
			content["0002_body.sql"] = second
			good, err := install(t.Context(), u, "1.1.0")
			require.NoError(t, err)

			fails = true
			if sql != "" {
				content["0003_next.sql"] = sql
			}
			for range 5 {
				execSQL(t, db, "INSERT INTO page VALUES ('later')")
				run, err := install(t.Context(), u, "1.2.0-rc.1")
				require.ErrorIs(t, err, update.ErrFailed)
				require.Equal(t, update.StateRolledBack, run.State)
			}
			kept := copies(t, s)
			replaced := slices.DeleteFunc(slices.Clone(kept), func(name string) bool { return !strings.Contains(name, "-replaced-") })
			require.LessOrEqual(t, len(replaced), 4, "and the others go")
			require.Len(t, kept, len(replaced)+4)

			delete(content, "0003_next.sql")
			back, err := u.Rollback(t.Context(), good.ID, update.By{})
			require.NoError(t, err)
			_, err = u.Wait(t.Context(), back.ID)
			require.NoError(t, err)
			require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
			require.Equal(t, []string{"title"}, values(t, db, "SELECT name FROM pragma_table_info('news')"))
		})
	}
}
