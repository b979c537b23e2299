package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// versionWrites are writes of every kind, on rows a and b that are published,
// of which a has changed since and c is new and in green.
var versionWrites = []struct {
	name  string
	write func(t *testing.T, s lv.VersionStore, w world) error
}{
	{"the first row of a table", func(t *testing.T, s lv.VersionStore, _ world) error {
		_, err := s.Write(t.Context(), lv.TableID{App: "demo", Schema: "new"}, []lv.Edit{saving("a", "1")}, by)
		return err
	}},
	{"edits", func(t *testing.T, s lv.VersionStore, w world) error {
		_, err := s.Write(t.Context(), pages, []lv.Edit{
			saving("a", "3"), saving("d", "1"), {Op: lv.OpDelete, Row: "b"}, {Op: lv.OpRestore, Version: w.first.ID},
			saving("a", "1"), {Op: lv.OpForget, Version: w.free.ID},
		}, lv.By{Actor: "ann", RequestID: "edits"})
		return err
	}},
	{"a publication", func(t *testing.T, s lv.VersionStore, _ world) error {
		_, err := s.PutRelease(t.Context(), pages, publishing(lv.Production, "a", "c"), lv.By{Actor: "ann", RequestID: "publish"})
		return err
	}},
	{"a publication that moves nothing", func(t *testing.T, s lv.VersionStore, _ world) error {
		_, err := s.PutRelease(t.Context(), pages, publishing(lv.Production, "b"), lv.By{Actor: "ann", RequestID: "nothing"})
		return err
	}},
	{"the first publication to a gray", func(t *testing.T, s lv.VersionStore, _ world) error {
		_, err := s.PutRelease(t.Context(), pages, publishing("blue", "a", "b"), by)
		return err
	}},
	{"a reset", func(t *testing.T, s lv.VersionStore, _ world) error {
		_, err := s.PutRelease(t.Context(), pages, lv.Release{
			Env: green, State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "c"}, {Row: "b"}},
		}, by)
		return err
	}},
	{"a plan", func(t *testing.T, s lv.VersionStore, w world) error {
		r := lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{{Row: "a", To: w.first.ID}, {Row: "b"}}}
		_, err := s.PutRelease(t.Context(), pages, r, by)
		return err
	}},
	{"the approval of a plan", func(t *testing.T, s lv.VersionStore, w world) error {
		r := w.plan
		r.State, r.Approver = lv.ReleaseApproved, "bob"
		_, err := s.PutRelease(t.Context(), pages, r, by)
		return err
	}},
	{"the application of a plan", func(t *testing.T, s lv.VersionStore, w world) error {
		r := w.plan
		r.State = lv.ReleaseApplied
		_, err := s.PutRelease(t.Context(), pages, r, by)
		return err
	}},
	{"a strategy", func(t *testing.T, s lv.VersionStore, w world) error {
		_, err := s.PutStrategy(t.Context(), pages, strategy(w.first.ID), lv.By{Actor: "ann", RequestID: "strategy"})
		return err
	}},
	{"the deletion of a strategy", func(t *testing.T, s lv.VersionStore, w world) error {
		gone := w.strategy
		gone.Deleted = true
		_, err := s.PutStrategy(t.Context(), pages, gone, by)
		return err
	}},
}

func strategy(target lv.VersionID) lv.Strategy {
	return lv.Strategy{Target: target, Rules: lv.Rules{{Object: "user", Field: "id", Relation: lv.RelationEquals, Value: "7"}}}
}

// world is what there is before a write.
type world struct {
	first, free lv.Version
	plan        lv.Release
	strategy    lv.Strategy
}

func makeWorld(t *testing.T, s lv.VersionStore) (w world) {
	w.first = save(t, s, "a", "1")
	save(t, s, "b", "1")
	publish(t, s, lv.Production, "a", "b")
	w.free = save(t, s, "a", "of no use")
	save(t, s, "a", "2")
	save(t, s, "c", "1")
	publish(t, s, green, "c")
	var err error
	w.plan, err = s.PutRelease(t.Context(), pages, lv.Release{
		State: lv.ReleaseDraft, Changes: []lv.Change{{Row: "a"}, {Row: "c", To: save(t, s, "c", "2").ID}},
	}, by)
	require.NoError(t, err)
	w.strategy, err = s.PutStrategy(t.Context(), pages, strategy(w.first.ID), by)
	require.NoError(t, err)
	return w
}

// TestAWriteHappensWholeOrNotAtAll has every statement of every write fail,
// before it is done and after.
func TestAWriteHappensWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{0, 5} { // the second has to prune
		for _, tt := range versionWrites {
			t.Run(fmt.Sprint(tt.name, ", keeping ", keep), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state.db")
				db := open(t, sqlite.Config{Path: path, Relaxed: true})
				w := makeWorld(t, db.Versions())
				raw, err := sql.Open("sqlite", "file:"+path)
				require.NoError(t, err)
				defer raw.Close()
				before := dump(t, raw)
				broken := func(f *spy) error {
					f.DB = db.Engine()
					return tt.write(t, sqlstore.NewVersions(f, storage.Retention{Events: keep}), w)
				}
				for n := 1; ; n++ {
					f := &spy{before: failAt(n)}
					err := broken(f)
					if len(f.statements) < n {
						require.NoError(t, err)
						require.Greater(t, n, 2, "nothing was made to fail")
						require.NotEqual(t, before, dump(t, raw), "it does something when nothing fails")
						return
					}
					require.ErrorIs(t, err, errInjected)
					require.Equal(t, before, dump(t, raw), "failing before statement %d, it leaves nothing", n)
					require.ErrorIs(t, broken(&spy{after: failAt(n)}), errInjected)
					require.Equal(t, before, dump(t, raw), "failing after statement %d, it leaves nothing", n)
				}
			})
		}
	}
}

var errInjected = errors.New("injected")

func failAt(n int) func(int) error {
	return func(i int) error {
		if i == n {
			return errInjected
		}
		return nil
	}
}

// dump returns all rows of all tables.
func dump(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range texts(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'upkeep_lv%'") {
		columns := strings.Join(texts(t, db, "SELECT 'quote(' || name || ')' FROM pragma_table_info(?1)", table), "||','||")
		all[table] = texts(t, db, "SELECT "+columns+" FROM "+table+" ORDER BY 1")
	}
	require.Greater(t, len(all), 5)
	return all
}

func texts(t *testing.T, db *sql.DB, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := db.Query(query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, rows.Err())
	return all
}

// TestAReadThatFailsSaysSo has every statement of every read fail.
func TestAReadThatFailsSaysSo(t *testing.T) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	makeWorld(t, db.Versions())
	for n := 1; ; n++ {
		failed := 0
		for name := range lists(t.Context(), db.Versions()) {
			faulty := &spy{DB: db.Engine(), before: failAt(n)}
			var last error
			for _, err := range lists(t.Context(), sqlstore.NewVersions(faulty, storage.Retention{}))[name] {
				require.NoError(t, last, "an error is the last pair")
				last = err
			}
			if len(faulty.statements) >= n {
				require.ErrorIs(t, last, errInjected, "%s: statement %d", name, n)
				failed++
			} else {
				require.NoError(t, last)
			}
		}
		if failed == 0 {
			require.Greater(t, n, 3)
			return
		}
	}
}
