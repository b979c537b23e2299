package sqlite_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// spied opens a database whose statements are seen.
func spied(t *testing.T, keep storage.Retention) (*sqlite.DB, *spy, lv.VersionStore) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	s := &spy{DB: db.Engine()}
	return db, s, sqlstore.NewVersions(s, keep)
}

// past are views of what was.
func past(ctx context.Context, s lv.VersionStore, seq int64) map[string]iter.Seq2[any, error] {
	return map[string]iter.Seq2[any, error]{
		"working then":    anyOf(s.Rows(ctx, pages, lv.View{AsOf: seq, Working: true})),
		"production then": anyOf(s.Rows(ctx, pages, lv.View{AsOf: seq})),
		"gray then":       anyOf(s.Rows(ctx, pages, lv.View{AsOf: seq, Env: green})),
		"own then":        anyOf(s.Rows(ctx, pages, lv.View{AsOf: seq, Env: green, Own: true})),
		"named then":      anyOf(s.Rows(ctx, pages, lv.View{AsOf: seq, Rows: []string{"a", "b"}})),
	}
}

func read(t testing.TB, list iter.Seq2[any, error]) (n int) {
	t.Helper()
	for _, err := range list {
		require.NoError(t, err)
		n++
	}
	return n
}

var parameter = regexp.MustCompile(`\?(\d+)`)

// plan returns how SQLite would run a statement.
func plan(t *testing.T, db *sqlite.DB, query string) (steps []string) {
	t.Helper()
	args := 0
	for _, p := range parameter.FindAllStringSubmatch(query, -1) {
		n, err := strconv.Atoi(p[1])
		require.NoError(t, err)
		args = max(args, n)
	}
	require.NoError(t, db.Read(t.Context(), func(tx sqlstore.Tx) error {
		return tx.Query("EXPLAIN QUERY PLAN "+query, make([]any, args), func(scan func(...any) error) error {
			var id, parent, unused int64
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			steps = append(steps, detail)
			return err
		})
	}), query)
	return steps
}

// TestNoStatementReadsAWholeTable looks at the plan of every statement.
func TestNoStatementReadsAWholeTable(t *testing.T) {
	t.Parallel()
	statements := map[string]bool{}
	note := func(spy *spy) {
		for _, query := range spy.seen() {
			statements[query] = true
		}
	}
	for _, tt := range versionWrites {
		_, spy, s := spied(t, storage.Retention{Events: 5})
		require.NoError(t, tt.write(t, s, makeWorld(t, s)), tt.name)
		note(spy)
	}
	db, spy, s := spied(t, storage.Retention{})
	makeWorld(t, s)
	for _, list := range lists(t.Context(), s) {
		read(t, list)
	}
	seq := publish(t, s, lv.Production, "a", "b", "c").Seq
	save(t, s, "a", "later")
	for _, list := range past(t.Context(), s, seq) {
		require.Positive(t, read(t, list))
	}
	for range s.Watch(t.Context(), seq-1) {
		break
	}
	note(spy)
	require.Greater(t, len(statements), 40)
	for query := range statements {
		for _, step := range plan(t, db, query) {
			if !cheap(step, query) {
				require.Fail(t, step, query)
			}
		}
	}
}

var (
	// scansLittle is a list of tables or of environments, or what a subquery
	// has selected.
	scansLittle = regexp.MustCompile(`^SCAN (upkeep_lv_table|CONSTANT ROW|k|p|f|one)( |$)|^SEARCH e USING PRIMARY KEY \(tbl=\?\)$`)
	// scansAll is a step through an index of a table of ours.
	scansAll = regexp.MustCompile(`^SCAN |\(tbl=\?\)`)
	// oneEntry is a query whose steps through an index end at the first entry,
	// or that wants all strategies or environments of a table.
	oneEntry = regexp.MustCompile(`e ORDER BY e.seq DESC LIMIT 1|max\(y.seq\)|` +
		`FROM upkeep_lv_strategy\s+WHERE tbl = \?1 AND deleted = 0 ORDER BY priority DESC|FROM upkeep_lv_env\s+WHERE tbl`)
)

func cheap(step, query string) bool {
	page := step == "SCAN r" && strings.Contains(query, "LIMIT 256) r")
	return page || !scansAll.MatchString(step) || scansLittle.MatchString(step) || oneEntry.MatchString(query)
}

// TestCallsRunFewStatements counts statements, transactions apart.
func TestCallsRunFewStatements(t *testing.T) {
	_, spy, s := spied(t, storage.Retention{})
	for i := range 40 {
		save(t, s, "a", fmt.Sprint(i))
		save(t, s, fmt.Sprint("row ", i), "1")
		publish(t, s, lv.Production, "a", fmt.Sprint("row ", i))
	}
	then := publish(t, s, green, "a").Seq
	save(t, s, "a", "later")
	save(t, s, "b", "1")
	list := func(list iter.Seq2[any, error]) func() { return func() { read(t, list) } }
	for _, tt := range []struct {
		name string
		most int
		call func()
	}{
		{"a save", 4, func() { save(t, s, "a", "once more") }},
		{"a publication", 5, func() { publish(t, s, lv.Production, "a") }},
		{"a publication that moves nothing", 4, func() { publish(t, s, lv.Production, "a") }},
		{"a publication to a gray", 6, func() { publish(t, s, green, "a") }},
		{"a row", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{Rows: []string{"a"}})))},
		{"all rows", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{})))},
		{"all rows of a gray", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{Env: green})))},
		{"all working rows", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{Working: true})))},
		{"a status", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{Working: true, Status: lv.StatusChanged})))},
		{"deletions", 1, list(anyOf(s.Rows(t.Context(), pages, lv.View{Working: true, Deleted: true})))},
		{"all rows as of an event", 3, list(anyOf(s.Rows(t.Context(), pages, lv.View{AsOf: then})))},
		{"all working rows as of an event", 3, list(anyOf(s.Rows(t.Context(), pages, lv.View{AsOf: then, Working: true})))},
		{"the first version of a list", 1, func() {
			for range s.Versions(t.Context(), pages, lv.Query{After: 20}) {
				break
			}
		}},
		{"the first release of a list", 2, func() {
			for range s.Releases(t.Context(), pages, lv.Query{After: then}) {
				break
			}
		}},
		{"a version", 1, list(anyOf(s.Versions(t.Context(), pages, lv.Query{ID: 20})))},
		{"a release", 2, list(anyOf(s.Releases(t.Context(), pages, lv.Query{ID: then})))},
		{"an answer", 1, list(anyOf(s.Releases(t.Context(), pages, lv.Query{RequestID: "asked"})))},
		{"the history of a row", 2, list(anyOf(s.Versions(t.Context(), pages, lv.Query{Row: "a"})))},
		{"an event that is there", 3, func() {
			for range s.Watch(t.Context(), then-1) {
				break
			}
		}},
	} {
		spy.seen()
		tt.call()
		seen := spy.seen()
		require.LessOrEqual(t, len(seen), tt.most, "%s: %q", tt.name, seen)
	}
}
