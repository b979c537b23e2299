//go:build unix

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
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
)

// page is a content of some 250 bytes.
func page(title string) json.RawMessage {
	return fmt.Appendf(nil, `{"title":%q,"body":%q}`, title, strings.Repeat("x", 220))
}

// save saves rows of pages, all with one title.
func save(t testing.TB, s lv.VersionStore, title string, rows ...string) []lv.Version {
	t.Helper()
	var edits []lv.Edit
	for _, row := range rows {
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: row, Content: page(title)})
	}
	versions, err := s.Write(context.Background(), pages, edits, by)
	require.NoError(t, err)
	return versions
}

// pointing is a release that points production at versions, at once.
func pointing(row string, to lv.VersionID) lv.Release {
	return lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: row, To: to}}}
}

// publish points production at a version.
func publish(ctx context.Context, s lv.VersionStore, row string, to lv.VersionID) (lv.Release, error) {
	return s.PutRelease(ctx, pages, pointing(row, to), by)
}

// events returns all events of pages.
func events(t *testing.T, s lv.VersionStore) (events []lv.Event) {
	t.Helper()
	var last int64
	for info, err := range s.Tables(t.Context(), pages) {
		require.NoError(t, err)
		last = info.Seq
	}
	for e, err := range s.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if events = append(events, e); e.Seq >= last {
			break
		}
	}
	return events
}

// requireOneOrder checks that each event goes on from where the one before has
// left its rows, and that all of them lead to what can be read.
func requireOneOrder(t *testing.T, s lv.VersionStore, events []lv.Event) {
	t.Helper()
	working, live := map[string]lv.VersionID{}, map[string]lv.VersionID{}
	var newest lv.VersionID
	for i, e := range events {
		require.EqualValues(t, i+1, e.Seq)
		for _, c := range e.Rows {
			at := live
			if e.Kind == lv.EventSaved {
				at = working
				require.Greater(t, c.To, newest, "ids of versions rise in the order of the events")
				newest = c.To
			}
			require.Equal(t, at[c.Row], c.From, "event %d", e.Seq)
			at[c.Row] = c.To
		}
	}
	require.Equal(t, working, pointers(t, s, lv.View{Working: true}))
	require.Equal(t, live, pointers(t, s, lv.View{}))
}

func pointers(t *testing.T, s lv.VersionStore, v lv.View) map[string]lv.VersionID {
	t.Helper()
	all := map[string]lv.VersionID{}
	for row, err := range s.Rows(t.Context(), pages, v) {
		require.NoError(t, err)
		all[row.ID] = row.Version
	}
	return all
}

// spy notes the statements on their way to an engine.
type spy struct {
	sqlstore.DB
	mu         sync.Mutex
	statements []string
	before     func(n int) error // its error is that of the statement
}

func (s *spy) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.DB.Write(ctx, func(tx sqlstore.Tx) error { return f(spyTx{s, tx}) })
}

func (s *spy) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.DB.Read(ctx, func(tx sqlstore.Tx) error { return f(spyTx{s, tx}) })
}

func (s *spy) note(query string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, query)
	if s.before != nil {
		return s.before(len(s.statements))
	}
	return nil
}

type spyTx struct {
	spy *spy
	tx  sqlstore.Tx
}

func (x spyTx) Exec(query string, args ...any) error {
	if err := x.spy.note(query); err != nil {
		return err
	}
	return x.tx.Exec(query, args...)
}

func (x spyTx) Row(query string, args []any, dest ...any) error {
	if err := x.spy.note(query); err != nil {
		return err
	}
	return x.tx.Row(query, args, dest...)
}

func (x spyTx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	if err := x.spy.note(query); err != nil {
		return err
	}
	return x.tx.Query(query, args, each)
}
