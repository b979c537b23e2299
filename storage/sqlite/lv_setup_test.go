package sqlite_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

var (
	pages = lv.TableID{App: "demo", Schema: "pages"}
	by    = lv.By{Actor: "ann", Reason: "why"}
	green = lv.Env("green")
)

// page is a content of some 250 bytes.
func page(title string) json.RawMessage {
	return fmt.Appendf(nil, `{"title":%q,"body":%q}`, title, strings.Repeat("x", 220))
}

func saving(row, title string) lv.Edit {
	return lv.Edit{Op: lv.OpSave, Row: row, Content: page(title)}
}

// save saves a row of pages.
func save(t testing.TB, s lv.VersionStore, row, title string) lv.Version {
	t.Helper()
	versions, err := s.Write(context.Background(), pages, []lv.Edit{saving(row, title)}, by)
	require.NoError(t, err)
	return versions[0]
}

// publishing is a release of working rows, at once.
func publishing(env lv.Env, rows ...string) lv.Release {
	r := lv.Release{Env: env, State: lv.ReleaseApplied}
	for _, row := range rows {
		r.Changes = append(r.Changes, lv.Change{Row: row, Working: true})
	}
	return r
}

func publish(t testing.TB, s lv.VersionStore, env lv.Env, rows ...string) lv.Release {
	t.Helper()
	r, err := s.PutRelease(context.Background(), pages, publishing(env, rows...), by)
	require.NoError(t, err)
	return r
}

// anyOf hides of what a list is.
func anyOf[T any](all iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		all(func(item T, err error) bool { return yield(item, err) })
	}
}

// firstOf is the first of a list.
func firstOf[T any](all iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for item, err := range all {
			yield(item, err)
			return
		}
	}
}

// lists are all lists of pages, but of its events the first.
func lists(ctx context.Context, s lv.VersionStore) map[string]iter.Seq2[any, error] {
	return map[string]iter.Seq2[any, error]{
		"tables":     anyOf(s.Tables(ctx)),
		"table":      anyOf(s.Tables(ctx, pages)),
		"working":    anyOf(s.Rows(ctx, pages, lv.View{Working: true})),
		"same":       anyOf(s.Rows(ctx, pages, lv.View{Working: true, Status: lv.StatusPublished})),
		"changed":    anyOf(s.Rows(ctx, pages, lv.View{Working: true, Status: lv.StatusChanged})),
		"deleted":    anyOf(s.Rows(ctx, pages, lv.View{Working: true, Deleted: true})),
		"production": anyOf(s.Rows(ctx, pages, lv.View{})),
		"gray":       anyOf(s.Rows(ctx, pages, lv.View{Env: green})),
		"own":        anyOf(s.Rows(ctx, pages, lv.View{Env: green, Own: true})),
		"named":      anyOf(s.Rows(ctx, pages, lv.View{Rows: []string{"b", "a"}})),
		"versions":   anyOf(s.Versions(ctx, pages, lv.Query{})),
		"of row":     anyOf(s.Versions(ctx, pages, lv.Query{Row: "a"})),
		"releases":   anyOf(s.Releases(ctx, pages, lv.Query{})),
		"released":   anyOf(s.Releases(ctx, pages, lv.Query{Row: "a"})),
		"planned":    anyOf(s.Releases(ctx, pages, lv.Query{State: lv.ReleaseDraft})),
		"a version":  anyOf(s.Versions(ctx, pages, lv.Query{ID: 1})),
		"a release":  anyOf(s.Releases(ctx, pages, lv.Query{ID: 3})),
		"an answer":  anyOf(s.Releases(ctx, pages, lv.Query{RequestID: "asked"})),
		"event":      firstOf(s.Watch(ctx, 0)),
		"tail":       firstOf(s.Watch(ctx, 1)),
	}
}

// spy stands between the statements and an engine.
type spy struct {
	sqlstore.DB

	mu         sync.Mutex
	statements []string
	// The error that these return, before and after a statement, is its error.
	before, after func(n int) error
}

func (s *spy) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.DB.Write(ctx, func(tx sqlstore.Tx) error { return f(spyTx{s, tx}) })
}

func (s *spy) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.DB.Read(ctx, func(tx sqlstore.Tx) error { return f(spyTx{s, tx}) })
}

func (s *spy) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return s.see(query, func() error { return s.DB.Row(ctx, query, args, dest...) })
}

// see notes a statement and runs it.
func (s *spy) see(query string, run func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, query)
	n := len(s.statements)
	if s.before != nil {
		if err := s.before(n); err != nil {
			return err
		}
	}
	err := run()
	if s.after != nil {
		err = cmp.Or(s.after(n), err)
	}
	return err
}

// seen returns the statements since the last call.
func (s *spy) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.statements
	s.statements = nil
	return seen
}

type spyTx struct {
	spy *spy
	tx  sqlstore.Tx
}

func (x spyTx) Exec(query string, args ...any) error {
	return x.spy.see(query, func() error { return x.tx.Exec(query, args...) })
}

func (x spyTx) Row(query string, args []any, dest ...any) error {
	return x.spy.see(query, func() error { return x.tx.Row(query, args, dest...) })
}

func (x spyTx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	return x.spy.see(query, func() error { return x.tx.Query(query, args, each) })
}
